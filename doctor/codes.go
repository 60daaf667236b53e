package doctor

// Code is what kind of finding it is: a word for alerts and for the documentation.
type Code string

// What can be wrong with identities.
const (
	IdentityWithoutSignup   Code = "identity_without_signup"
	IdentityOfExpiredSignup Code = "identity_of_expired_signup"
	IdentityMissing         Code = "identity_missing"
	IdentityMismatch        Code = "identity_mismatch"
	IdentitiesUnconfirmed   Code = "identities_unconfirmed"
	IdentitiesUnreachable   Code = "identities_unreachable"
	LostSchool              Code = "lost_school"
	IdentityBlocked         Code = "identity_blocked"
)

// What can be wrong with the schools' organizations at the identity provider.
const (
	OrganizationWithoutSchool Code = "organization_without_school"
	OrganizationMissing       Code = "organization_missing"
)

// What can be wrong with databases, roles and templates.
const (
	DatabaseMissing     Code = "database_missing"
	DatabaseWithoutRow  Code = "database_without_row"
	DatabaseUnmanaged   Code = "database_foreign"
	DatabaseInvalid     Code = "database_invalid"
	DatabaseClosed      Code = "database_closed"
	DatabaseAccess      Code = "database_access"
	DatabaseOwner       Code = "database_owner"
	DatabaseUnmarked    Code = "database_unmarked"
	DatabaseUnreadable  Code = "database_unreadable"
	RoleMissing         Code = "role_missing"
	RoleOutOfOrder      Code = "role_out_of_order"
	RoleWithoutDatabase Code = "role_without_database"
	LoginRefused        Code = "login_refused"
	GrantsMissing       Code = "grants_missing"
	SpareUnusable       Code = "spare_unusable"
	TemplateOld         Code = "template_old"
	TemplateIncomplete  Code = "template_incomplete"
	ArchivedDatabase    Code = "kept_database"
	DatabaseRenamed     Code = "database_renamed"
	DatabaseSettings    Code = "database_settings"
	DatabaseForAll      Code = "database_for_all"
	DatabasesMissing    Code = "databases_missing"
	LoginsRefused       Code = "logins_refused"
	TenantKeyDiffers    Code = "tenant_key_differs"
	SpareUnfinished     Code = "spare_unfinished"
	SpareWithData       Code = "spare_with_data"
	TemplateOpen        Code = "template_open"
	FunctionsOpen       Code = "functions_open"
)

// What can be wrong with schemas.
const (
	SchemaUnclear      Code = "schema_unclear"
	VersionDiffers     Code = "version_differs"
	FingerprintDiffers Code = "fingerprint_differs"
	SchemaDrift        Code = "schema_drift"
	SchemaMissing      Code = "schema_missing"
	SchemaOwner        Code = "schema_owner"
	VersionFalse       Code = "version_false"
	LineageDiffers     Code = "lineage_differs"
	ReferenceDiffers   Code = "reference_differs"
	MigrationsChanged  Code = "migrations_changed"
	MigrationsOfOthers Code = "migrations_of_others"
)

// What can be wrong within the catalog.
const (
	SignupUnattended    Code = "signup_unattended"
	SignupNeedsOperator Code = "signup_needs_operator"
	SignupWithoutSchool Code = "signup_without_school"
	UserWithoutTenant   Code = "user_without_tenant"
	UserWithoutSignup   Code = "user_without_signup"
	TenantWithoutUser   Code = "tenant_without_user"
	TenantHeldByNobody  Code = "tenant_held_by_nobody"
	TenantShared        Code = "tenant_shared"
	TenantQuarantined   Code = "tenant_quarantined"
	JobWithoutRow       Code = "job_without_row"
	JobStuck            Code = "job_stuck"
	TenantDeleted       Code = "tenant_deleted"
	RunPaused           Code = "run_paused"
	CatalogIncomplete   Code = "catalog_incomplete"
	CatalogReadable     Code = "catalog_readable"
)

// What can be wrong with servers.
const (
	ServerUnknown        Code = "server_unknown"
	ServerUnreachable    Code = "server_unreachable"
	ServerWarning        Code = "server_remark"
	SpareOnUnknownServer Code = "spare_on_unknown_server"
	ServerClosed         Code = "server_closed"
	NoServerOpen         Code = "no_server_open"
	StockEmpty           Code = "stock_empty"
	ServerIsAnother      Code = "server_is_another_cluster"
	SharedRole           Code = "shared_role"
	CollationChanged     Code = "collation_changed"
	NotificationQueue    Code = "notification_queue"
)

// What others have not been told.
const (
	EventsWaiting  Code = "events_waiting"
	MailsUnsent    Code = "mails_unsent"
	DeliveriesDead Code = "deliveries_dead"
)

// codeInfo is common to all findings of a code.
type codeInfo struct {
	severity Severity
	advice   string
}

// singlePass are the codes of facts that nobody is in the middle of changing: they need no second pass.
var singlePass = map[Code]bool{
	ServerWarning: true, ArchivedDatabase: true, TemplateOld: true, TenantQuarantined: true, ServerUnknown: true, SpareOnUnknownServer: true,
	MailsUnsent: true, DeliveriesDead: true,
}

const reprovision = "Or: homeroom tenant reprovision with its id, slug or database."

// codeInfos has a line for every code. docs/recover.md has one too.
var codeInfos = map[Code]codeInfo{
	IdentityWithoutSignup: {Warning, "Perhaps another Homeroom uses the same tenant of the provider. If it is nobody's, delete the login there."},
	IdentityOfExpiredSignup: {Warning, "The person was told that the sign-up failed, and cannot sign up again with this e-mail until the next " +
		"sign-up meets the leftover and removes it."},
	IdentityMissing: {Error, "Nobody can log in to this school. Find out who deleted the login at the provider; a new one needs the same id."},
	IdentityBlocked: {Warning, "This person cannot log in. Ask who blocked the login; it is unblocked at the provider."},
	IdentityMismatch: {Error, "Compare the login's app_metadata and e-mail with the catalog, and correct the one that is wrong. A token is made of the " +
		"provider's side."},
	IdentitiesUnconfirmed: {Warning, "So many differ that the list itself is suspect: look whether AUTH0_CONNECTION and the tenant are the right ones."},
	IdentitiesUnreachable: {Warning, "Look again when the provider answers."},
	LostSchool: {Error, "The catalog was restored to a time before this school signed up, or another Homeroom uses the same server, key and " +
		"provider. Until it is adopted, nobody can use the school."},

	OrganizationWithoutSchool: {Warning, "Perhaps another Homeroom uses the same tenant of the provider, or the catalog was restored to an earlier " +
		"time. One that nobody is in can go."},
	OrganizationMissing: {Error, "Whoever logs in to the school's organization cannot. Find out who removed it."},

	DatabaseMissing: {Error, "Restore the database from a backup. homeroom tenant reprovision makes a new, empty one instead."},
	DatabaseWithoutRow: {Warning, "Perhaps the catalog was restored to an earlier time, or another Homeroom uses this server. Look into it as " +
		"superuser before anything else; the doctor never drops a database."},
	DatabaseUnmanaged: {Error, "Find out who made it. If it must go, rename it; homeroom tenant reprovision then makes a new, empty one."},
	DatabaseInvalid: {Error, "Somebody has begun to drop it, and what is left cannot be opened. homeroom tenant reprovision --fresh makes a new, " +
		"empty one; load your backup into that."},
	DatabaseClosed:     {Error, "Find out who closed it. " + reprovision},
	DatabaseAccess:     {Error, "Find out who granted or revoked it: others may have been in this school's data. " + reprovision},
	DatabaseOwner:      {Error, "Find out who changed it: an owner may do anything in the database. " + reprovision},
	DatabaseUnmarked:   {Warning, reprovision},
	DatabaseUnreadable: {Warning, "The cause is Postgres's own. Look again when it is gone."},
	RoleMissing:        {Error, "Find out who dropped it. " + reprovision},
	RoleOutOfOrder:     {Error, "Find out who changed it: it may have had more rights than a tenant should. " + reprovision},
	RoleWithoutDatabase: {Warning, "Neither the catalog nor the server has a database for it. If another Homeroom uses this server, leave it: it " +
		"may be about to make one."},
	LoginRefused: {Error, "The school's password does not open its database: another HOMEROOM_TENANT_KEY, a changed password, or " +
		"pg_hba.conf. " + reprovision},
	GrantsMissing: {Error, "Some tables are out of the school's reach, or within it though they should not be. " + reprovision},
	SpareUnusable: {Warning, "The next school may be given it. " + reprovision},
	TemplateOld: {Info, "It takes some megabytes. Leave it while a program of another version runs on this server: that would only make " +
		"it again."},
	TemplateIncomplete: {Info, "A process is making it, or has died over it. It is made again when it is needed."},
	ArchivedDatabase:   {Info, "When the school misses nothing in its new database, drop it as superuser."},

	SchemaUnclear: {Error, "The version it records cannot be believed. homeroom tenant reprovision with its id, slug or database tells what it stopped " +
		"at: compare its schema with the migration files, and record the version that it really has in schema_migrations."},
	VersionDiffers:     {Warning, "Somebody has migrated it with another tool, or a backup of it was restored."},
	FingerprintDiffers: {Info, "What the catalog remembers of its schema is out of date; nothing is wrong with the database."},
	SchemaDrift:        {Warning, "Somebody has changed its schema by hand. homeroom tenant drift --tenant tells in what it differs."},
	SchemaMissing: {Error, "The school's data is gone from this database. Make a new one, which keeps the old one aside, and load a backup " +
		"into it."},
	SchemaOwner: {Error, "Find out who changed it. Nothing is lost: give the schema back."},
	VersionFalse: {Error, "Somebody has edited schema_migrations by hand, or a newer program has migrated it: then look with that one. Nothing " +
		"is recorded in the catalog before it is clear."},
	LineageDiffers: {Error, "Somebody has changed the tenant's row by hand: no run over the fleet takes it."},
	ReferenceDiffers: {Warning, "A migration file was changed after it had run for these tenants, or one was added between others. Bring the " +
		"file back as it was, and write a new migration for the difference."},

	DatabaseRenamed: {Error, "Nothing is lost: give it its name back. Nobody may be connected to it meanwhile."},
	DatabaseSettings: {Error, "Somebody has set something on this database that no tenant has. It can keep the school out, or make its data read-only. " +
		reprovision},
	DatabaseForAll: {Info, "A database that is not the tenants' lets PUBLIC or homeroom_tenant in. They see what it shows to everybody."},
	DatabasesMissing: {Error, "Most databases of one server do not go missing one by one: look first whether the server's URL leads to the right one. " +
		"Nothing is repaired. Else restore the server from a backup."},
	LoginsRefused: {Error, "Most passwords are not changed one by one: look first whether HOMEROOM_TENANT_KEY is the right one, then at pg_hba.conf. " +
		"Without the catalog's check value of the key nothing is repaired: that would give every role another password."},
	TenantKeyDiffers: {Error, "Set the former HOMEROOM_TENANT_KEY again: nothing is repaired with this one. If it was changed on purpose, stop " +
		"every process of Homeroom, then: homeroom doctor --fix --new-tenant-key"},
	SpareUnfinished: {Warning, "No service makes it, or it cannot be made: look whether homeroom serve runs, and at its log for \"fill the stock of spares\"."},
	SpareWithData: {Error, "Look into it as superuser: whose is it? While nobody knows, it is neither given to a school nor dropped. If it is nobody's, drop " +
		"the database; the keeper of spares removes the rest."},
	TemplateOpen: {Warning, "Somebody has opened it, and may have changed what new schools get. While a session is in it, no database can be made."},

	FunctionsOpen: {Info, "With them one tenant can stop the whole server. Databases that were made before the template closed them still have them " +
		"open, and so has the template where no superuser has made its base (examples/provisioner.sql)."},

	TenantDeleted:     {Error, "Somebody has changed rows by hand: compare with a backup."},
	RunPaused:         {Warning, "The tenants that are left stay at their version, and no other run can start."},
	CatalogIncomplete: {Error, "Somebody has dropped it by hand. Make it again; folder migrations/catalog has all definitions."},
	CatalogReadable:   {Error, "Tenants may read who the schools and their people are. Take the right away, and find out who granted it."},
	ServerClosed:      {Warning, "It is opened again by itself when its disk has room."},
	NoServerOpen:      {Error, "No school can sign up once the spares are used up."},
	StockEmpty:        {Warning, "Sign-ups wait for their database to be made. Look whether homeroom serve runs, and at its log for \"fill the stock of spares\"."},
	SharedRole:        {Error, "All tenants share this role: what it may do, they all may do."},
	CollationChanged: {Warning, "The operating system's or ICU's library was upgraded. Rebuild the indexes, then record the new version. Writes to the " +
		"tables wait meanwhile."},
	NotificationQueue: {Warning, "When it is full, every NOTIFY on the server fails. End the session that keeps it from being emptied; Postgres's log " +
		"names it."},

	MigrationsChanged: {Error, "Nothing is made or migrated with these files, and homeroom serve is not ready. Correct the folder that " +
		"HOMEROOM_TENANT_MIGRATIONS names."},
	MigrationsOfOthers: {Info, "No run takes them, and none of these files may run there. Where nobody meant that, the first file was changed: " +
		"bring back what it was. docs/own-schema.md tells more."},

	SignupUnattended: {Error, "No service works on the catalog, or none gets anywhere: look whether homeroom serve runs, and at its log."},
	SignupNeedsOperator: {Error, "Compare the login at the provider with the sign-up's row, and repair the cause first. One that cannot be finished is " +
		"ended, and its e-mail is free again: homeroom signup resolve with its id and --undo."},
	SignupWithoutSchool: {Error, "The person was told that the school is ready. Somebody has changed rows by hand: compare with a backup."},
	UserWithoutTenant:   {Error, "Somebody has changed rows by hand: compare with a backup."},
	UserWithoutSignup:   {Warning, "It keeps its e-mail from signing up. Somebody has deleted a sign-up's row by hand; if the user is nobody's, delete it too."},
	TenantWithoutUser:   {Error, "Nobody can use this school. Somebody has changed rows by hand: compare with a backup."},
	TenantHeldByNobody:  {Warning, "No sign-up will ever finish it. Somebody has changed rows by hand: compare with a backup."},
	TenantShared:        {Error, "Two schools may read one another's data. Suspend one and look at once: this must be impossible."},
	TenantQuarantined:   {Warning, "Repair the cause, then homeroom migrate or homeroom tenant reprovision."},
	JobWithoutRow:       {Warning, "It fails until it has used up its tries. Somebody has deleted a row by hand."},
	JobStuck:            {Warning, "Its process has died, and no other has taken it up: look whether homeroom serve runs."},

	EventsWaiting: {Warning, "Mails and webhooks wait with them: look whether homeroom serve runs, and at its log."},
	MailsUnsent: {Warning, "The table mails has the problem of each: repair the cause. No mail is sent twice by itself, so the person must act: on the " +
		"page that waits for the mail, \"send it again\"; an invitation is made again by whoever invited. docs/mail.md tells more."},
	DeliveriesDead: {Warning, "homeroom webhook deliveries shows them. When the receiver is well again, replay them."},

	ServerUnknown:     {Error, "Set HOMEROOM_SERVER_<NAME>_URL in every process: nobody can use these schools from here."},
	ServerUnreachable: {Warning, "What is on it was not looked at. Look again when it is back."},
	ServerIsAnother: {Error, "Correct the URL: nothing is made or repaired there. If the databases were moved there, bring all of them with their comments, as " +
		"pg_dumpall and pg_dump --create do; the doctor then offers to record it."},
	ServerWarning:        {Warning, "See docs/install.md."},
	SpareOnUnknownServer: {Warning, "They are never claimed from here. Set HOMEROOM_SERVER_<NAME>_URL, or delete the rows if the server is gone for good."},
}

// Codes lists all codes, for documentation and metrics.
func Codes() []Code {
	codes := make([]Code, 0, len(codeInfos))
	for code := range codeInfos {
		codes = append(codes, code)
	}
	return codes
}
