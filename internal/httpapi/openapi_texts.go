package httpapi

// longTexts are descriptions that would make a field's tag too long to read. The tag has the key.
var longTexts = map[string]string{ //nolint:gosec // rules for passwords, not passwords
	"@authPassword": "8 to 72 bytes, with an upper-case letter, a digit and a special character.",
	"@runState": "running and paused are open, and at most one run is. done has processed every tenant, and some may have " +
		"failed; failed could not continue; stopped because a canary or too many tenants failed; aborted was ended by an " +
		"operator.",
	"@runTarget": "The version to reach; the newest when left out. Chosen tenants above it are migrated down to it by the down " +
		"files, and are held at it until a run names them again.",
	"@quarantineKind": "The kind of the problem: migration could not be applied, and the next run tries again; schema has an unknown " +
		"version; database is missing or unmanaged; replaced has an archived database, and the new one is not complete.",
	"@password": "8 to 72 bytes. The identity provider may require more; its message is passed on.",
	"@captchaToken": "The token of the CAPTCHA widget. A repetition with the Idempotency-Key of a known sign-up needs " +
		"none.",
	"@idempotencyKey": "A repetition with the same key is not carried out again, and gets the same " +
		"result. Use a random UUID for each new request.",
	"@replayed": "true for a repetition of an earlier request with the same Idempotency-Key. The password is not compared: the " +
		"account has the password of the first request.",
}

// propertyTexts describe the members of types in packages that do not know HTTP.
var propertyTexts = map[string]map[string]string{
	"Signup": {
		"signupId": "The sign-up's id. Everybody who knows it may read the sign-up.",
		"status":   "ready, failed and expired are final; needs_operator waits for an operator of the service.",
		"user":     "Present once the sign-up is ready.",
		"school":   "Present once the sign-up is ready.",
		"steps":    "The steps that are done or running.",
		"problem":  "Why it failed: a code without personal data.",
	},
	"SignupResult": {
		"signupId": "The sign-up's id, for GET /signups/{id}.",
		"user":     "The person who signed the school up.",
		"school":   "The school and its database.",
	},
	"Me": {
		"user":     "The caller.",
		"school":   "The caller's school.",
		"database": "Figures from the school's own database.",
	},
	"SignupStep": {
		"name":       "The step.",
		"status":     "Its status.",
		"attempt":    "The number of the attempt; above 1, an earlier worker has died.",
		"startedAt":  "When it began.",
		"durationMs": "How long it took.",
		"problem":    "Why it failed: a code without personal data.",
	},
	"User":   userTexts,
	"MyUser": userTexts,
	"School": {
		"id":            "The tenant's id.",
		"name":          "The school's name.",
		"slug":          "The school's short name for URLs.",
		"database":      "The name of the school's database.",
		"schemaVersion": "The database's schema version.",
		"status":        "ready once the school can use it.",
		"createdAt":     "When the school signed up.",
	},
	"Migration":        {"id": "The run's id."},
	"MigrationDetails": {"id": "The run's id."},
	"MigrationPage":    {"migrations": "The runs."},
	"OutcomePage":      {"outcomes": "The outcomes."},
	"PlannedTenant":    {"id": "The tenant's id."},
	"TenantStep": {
		"name":       "The step.",
		"status":     "Its status.",
		"changed":    "What was missing and was added; absent if nothing was.",
		"startedAt":  "When it began.",
		"durationMs": "How long it took.",
		"problem":    "Why it failed.",
	},
}

var userTexts = map[string]string{
	"givenName":     "As the person wrote it.",
	"familyName":    "As the person wrote it.",
	"name":          "The whole name, as the person wrote it.",
	"id":            "The person's id.",
	"identityId":    "The person's id at the identity provider.",
	"email":         "The normalised e-mail address.",
	"emailVerified": "Whether the person has confirmed the address.",
	"createdAt":     "When the school signed up.",
}
