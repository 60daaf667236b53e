package httpapi

// longTexts are descriptions that would make the tag of a field too long to read. Such a tag has the key.
var longTexts = map[string]string{
	"@authPassword": "8 to 72 bytes, with an upper-case letter, a digit and a special character.",
	"@runState": "running and paused are open, and at most one run is. done has looked at every tenant, and some may have " +
		"failed; failed could not do its work; stopped had a canary fail, or too many tenants; aborted was ended by an " +
		"operator.",
	"@runTarget": "The version to reach; the newest when left out. Chosen tenants above it are taken back to it by the down " +
		"files, and stay at it until a run names them again.",
	"@quarantineKind": "What that is about: migration could not be applied, and the next run tries again; schema has an unknown " +
		"version; database is missing or not ours; replaced has its database set aside for a new one.",
	"@password": "8 to 72 bytes. The identity provider may ask for more; its message is passed on.",
	"@captchaToken": "What the CAPTCHA's widget has made. A repetition with the Idempotency-Key of a sign-up that is known needs " +
		"none.",
	"@idempotencyKey": "Makes a repetition of the request the same request: it is carried out once, and answered with the same " +
		"result. Use a random UUID for each new request.",
	"@replayed": "true for a repetition of an earlier request, told by its Idempotency-Key. Its password is not compared: the " +
		"account has the one that it was made with.",
}

// propertyTexts describe the members of types that know nothing of HTTP.
var propertyTexts = map[string]map[string]string{
	"Signup": {
		"signupId": "The sign-up's id. Knowing it is the permission to look at it.",
		"status":   "How far it is. ready, failed and expired are final; needs_operator waits for somebody who operates the service.",
		"user":     "There once the sign-up is ready.",
		"school":   "There once the sign-up is ready.",
		"steps":    "What has been done, and what is being done.",
		"problem":  "Why it failed: its code is a safe word.",
	},
	"SignupResult": {
		"signupId": "The sign-up's id, for GET /signups/{id}.",
		"user":     "The person who signed the school up.",
		"school":   "The school, and where its data is.",
	},
	"Me": {
		"user":     "The caller.",
		"school":   "The caller's school.",
		"database": "What the school's own database tells of itself.",
	},
	"SignupStep": {
		"name":       "What it does.",
		"status":     "How far it is.",
		"attempt":    "Which worker did it: above 1, an earlier one died.",
		"startedAt":  "When it began.",
		"durationMs": "How long it took.",
		"problem":    "A safe word on why it failed.",
	},
	"User":   userTexts,
	"MyUser": userTexts,
	"School": {
		"id":            "The tenant's id.",
		"name":          "The school's name.",
		"slug":          "The name by which people find the school.",
		"database":      "The name of the school's database.",
		"schemaVersion": "The last migration that the database has had.",
		"status":        "ready, as soon as it can be used.",
		"createdAt":     "When the school signed up.",
	},
	"Migration":        {"id": "The run's id."},
	"MigrationDetails": {"id": "The run's id."},
	"MigrationPage":    {"migrations": "The runs."},
	"OutcomePage":      {"outcomes": "How it went."},
	"PlannedTenant":    {"id": "The tenant's id."},
	"TenantStep": {
		"name":       "What it does.",
		"status":     "How far it is.",
		"changed":    "What was missing and has been made; absent when there was nothing to do.",
		"startedAt":  "When it began.",
		"durationMs": "How long it took.",
		"problem":    "Why it failed.",
	},
}

var userTexts = map[string]string{
	"givenName":     "As the person wrote it.",
	"familyName":    "As the person wrote it.",
	"name":          "The whole name, as the person wrote it.",
	"id":            "Our id of the person.",
	"identityId":    "The identity provider's id of the person.",
	"email":         "In the one spelling that counts.",
	"emailVerified": "Whether the person has shown that the address is theirs.",
	"createdAt":     "When the school signed up.",
}
