package doctor

// Code is the kind of a finding, a constant for alerts and for the documentation.
type Code string

// Problems of identities.
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

// Problems of the schools' organizations at the identity provider.
const (
	OrganizationWithoutSchool Code = "organization_without_school"
	OrganizationMissing       Code = "organization_missing"
)

// Problems of databases, roles and templates.
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

// Problems of schemas.
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

// Problems within the catalog.
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

// Problems of servers.
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

// Undelivered events, mails and webhooks.
const (
	EventsWaiting  Code = "events_waiting"
	MailsUnsent    Code = "mails_unsent"
	DeliveriesDead Code = "deliveries_dead"
)

// codeInfo is common to all findings with a code.
type codeInfo struct {
	severity Severity
	// advice names settings as [setting.Names.Sprintf] reads them.
	advice string
}

// singlePass are the codes of facts that no process changes concurrently, so that they need no second pass.
var singlePass = map[Code]bool{
	ServerWarning: true, ArchivedDatabase: true, TemplateOld: true, TenantQuarantined: true, ServerUnknown: true, SpareOnUnknownServer: true,
	MailsUnsent: true, DeliveriesDead: true,
}

const reprovision = "Or run homeroom tenant reprovision with its id, slug or database."

// codeInfos has a line for every code. docs/recover.md has one too.
var codeInfos = map[Code]codeInfo{
	IdentityWithoutSignup: {Warning, "Perhaps another Homeroom uses the same tenant of the provider. If nobody uses it, delete the account there."},
	IdentityOfExpiredSignup: {Warning, "The person got the answer that the sign-up failed, and cannot sign up again with this e-mail until the next " +
		"sign-up finds this account and removes it."},
	IdentityMissing: {Error, "This person cannot log in. Find out who deleted the account at the provider; a new one needs the same id."},
	IdentityBlocked: {Warning, "This person cannot log in. Find out who blocked the account, and unblock it at the provider."},
	IdentityMismatch: {Error, "Compare the account's app_metadata and e-mail with the catalog, and correct the wrong one. Tokens are made from the " +
		"provider's data."},
	IdentitiesUnconfirmed: {Warning, "So many differ that the list itself is suspect: look whether $Auth0Connection and the tenant are the right ones."},
	IdentitiesUnreachable: {Warning, "Run the doctor again when the provider answers."},
	LostSchool: {Error, "The catalog was restored from a backup from before this school signed up, or another Homeroom uses the same server, key and " +
		"provider. Nobody can use the school until its rows are restored."},

	OrganizationWithoutSchool: {Warning, "Perhaps another Homeroom uses the same tenant of the provider, or the catalog was restored from an older " +
		"backup. An organization without members can be deleted."},
	OrganizationMissing: {Error, "Nobody can log in to the school's organization. Find out who removed it."},

	DatabaseMissing: {Error, "Restore the database from a backup. Or create a new, empty one with homeroom tenant reprovision."},
	DatabaseWithoutRow: {Warning, "Perhaps the catalog was restored from an older backup, or another Homeroom uses this server. Inspect it as a " +
		"superuser before anything else; the doctor never drops a database."},
	DatabaseUnmanaged: {Error, "Find out who created it. If nobody needs it under this name, rename it; homeroom tenant reprovision then creates a new, empty one."},
	DatabaseInvalid: {Error, "A DROP DATABASE was interrupted, and the rest cannot be opened. homeroom tenant reprovision --fresh creates a new, " +
		"empty one; load your backup into it."},
	DatabaseClosed:     {Error, "Find out who set allow_connections to false. " + reprovision},
	DatabaseAccess:     {Error, "Find out who granted or revoked it: others may have read this school's data. " + reprovision},
	DatabaseOwner:      {Error, "Find out who changed it: an owner may change anything in the database. " + reprovision},
	DatabaseUnmarked:   {Warning, reprovision},
	DatabaseUnreadable: {Warning, "Postgres reported an error. Repair its cause, then run the doctor again."},
	RoleMissing:        {Error, "Find out who dropped it. " + reprovision},
	RoleOutOfOrder:     {Error, "Find out who changed it: it may have had more rights than a tenant should. " + reprovision},
	RoleWithoutDatabase: {Warning, "Neither the catalog nor the server has a database for it. If another Homeroom uses this server, leave it: it " +
		"may be about to create one."},
	LoginRefused: {Error, "The school's password does not open its database: another $TenantKey, a changed password, or " +
		"pg_hba.conf. " + reprovision},
	GrantsMissing: {Error, "The school lacks rights on some tables, or has rights that it should not have. " + reprovision},
	SpareUnusable: {Warning, "The next school may get it. " + reprovision},
	TemplateOld: {Info, "It takes some megabytes. Leave it while a program of another version runs on this server: that would only create " +
		"it again."},
	TemplateIncomplete: {Info, "A process is creating it, or died while it did. It is created again when it is needed."},
	ArchivedDatabase:   {Info, "When the school has all its data in its new database, drop this one as a superuser."},

	SchemaUnclear: {Error, "The version that it records is not reliable. homeroom tenant reprovision with its id, slug or database shows where it " +
		"stopped: compare its schema with the migration files, and record the version that it really has in schema_migrations."},
	VersionDiffers:     {Warning, "Somebody has migrated it with another tool, or a backup of it was restored."},
	FingerprintDiffers: {Info, "The catalog's record of its schema is out of date; the database itself is correct."},
	SchemaDrift:        {Warning, "Somebody has changed its schema by hand. homeroom tenant drift --tenant shows the differences."},
	SchemaMissing: {Error, "The school's data is gone from this database. Create a new one, which archives the old one, and load a backup " +
		"into it."},
	SchemaOwner: {Error, "Find out who changed it. No data is lost: set the owner of the schema again."},
	VersionFalse: {Error, "Somebody has edited schema_migrations by hand, or a newer program has migrated it: then use that program. Nothing " +
		"is recorded in the catalog until this is clear."},
	LineageDiffers: {Error, "Somebody has changed the tenant's row by hand: fleet runs leave it out."},
	ReferenceDiffers: {Warning, "A migration file was changed after it had run for these tenants, or one was inserted between others. Restore the " +
		"file, and write a new migration for the difference."},

	DatabaseRenamed: {Error, "No data is lost: rename it back. Nobody may be connected to it meanwhile."},
	DatabaseSettings: {Error, "Somebody has changed settings of this database. They can lock the school out, or make its data read-only. " +
		reprovision},
	DatabaseForAll: {Info, "PUBLIC or homeroom_tenant has CONNECT on a database that is not a tenant's. Tenants can read what everybody can read there."},
	DatabasesMissing: {Error, "If most databases of a server are missing, the cause is probably the URL: check first whether it leads to the right server. " +
		"Nothing is repaired. Otherwise restore the server from a backup."},
	LoginsRefused: {Error, "Most passwords are not changed one by one: look first whether $TenantKey is the right one, then at pg_hba.conf. " +
		"Without the catalog's check value of the key nothing is repaired: that would give every role another password."},
	TenantKeyDiffers: {Error, "Set the former $TenantKey again: nothing is repaired with this one. If it was changed on purpose, stop " +
		"every process of Homeroom, then: homeroom doctor --fix --new-tenant-key"},
	SpareUnfinished: {Warning, "No service makes it, or it cannot be made: look whether homeroom serve runs, and at its log for \"fill the stock of spares\"."},
	SpareWithData: {Error, "Inspect it as a superuser, and find out who uses it. Until then it is neither assigned to a school nor dropped. If nobody uses it, drop " +
		"the database; the refiller removes the rest."},
	TemplateOpen: {Warning, "Somebody has connected to it, and may have changed what new schools get. While a session is open in it, no database can be created."},

	FunctionsOpen: {Info, "With them one tenant can stop the whole server. Databases that were created before the template revoked them still have them " +
		"granted, and so has the template if no superuser has created its base (examples/provisioner.sql)."},

	TenantDeleted:     {Error, "Somebody has changed rows by hand: compare with a backup."},
	RunPaused:         {Warning, "The remaining tenants stay at their version, and no other run can start."},
	CatalogIncomplete: {Error, "Somebody has dropped it by hand. Create it again; folder migrations/catalog has all definitions."},
	CatalogReadable:   {Error, "Tenants can read the names of all schools and people. Revoke the right, and find out who granted it."},
	ServerClosed:      {Warning, "Homeroom opens it again when its disk has free space."},
	NoServerOpen:      {Error, "No school can sign up once the spares are used up."},
	StockEmpty:        {Warning, "Sign-ups wait until their database is created. Check whether homeroom serve runs, and look in its log for \"fill the stock of spares\"."},
	SharedRole:        {Error, "All tenants share this role, so all of them have its rights."},
	CollationChanged: {Warning, "The operating system's or ICU's library was upgraded. Rebuild the indexes, then record the new version. Writes to the " +
		"tables wait meanwhile."},
	NotificationQueue: {Warning, "When it is full, every NOTIFY on the server fails. End the session that prevents its clean-up; Postgres's log " +
		"names it."},

	MigrationsChanged: {Error, "Nothing is created or migrated with these files, and homeroom serve is not ready. Correct the folder that " +
		"$TenantMigrations names."},
	MigrationsOfOthers: {Info, "Fleet runs leave them out, and these files may not run there. If this is not on purpose, the first file was changed: " +
		"restore it. See docs/own-schema.md."},

	SignupUnattended: {Error, "No service works on the catalog, or its work fails: check whether homeroom serve runs, and look in its log."},
	SignupNeedsOperator: {Error, "Compare the account at the provider with the sign-up's row, and repair the cause first. To end a sign-up that cannot be " +
		"finished and free its e-mail, run homeroom signup resolve with its id and --undo."},
	SignupWithoutSchool: {Error, "The person got the answer that the school is ready. Somebody has changed rows by hand: compare with a backup."},
	UserWithoutTenant:   {Error, "Somebody has changed rows by hand: compare with a backup."},
	UserWithoutSignup:   {Warning, "It prevents another sign-up with its e-mail. Somebody has deleted a sign-up's row by hand; if nobody needs the user, delete it too."},
	TenantWithoutUser:   {Error, "Nobody can use this school. Somebody has changed rows by hand: compare with a backup."},
	TenantHeldByNobody:  {Warning, "No sign-up will ever finish it. Somebody has changed rows by hand: compare with a backup."},
	TenantShared:        {Error, "Two schools may read one another's data. Suspend one and investigate at once: this must be impossible."},
	TenantQuarantined:   {Warning, "Repair the cause, then homeroom migrate or homeroom tenant reprovision."},
	JobWithoutRow:       {Warning, "It fails until it has used up its attempts. Somebody has deleted a row by hand."},
	JobStuck:            {Warning, "Its process has died, and no other process runs it: check whether homeroom serve runs."},

	EventsWaiting: {Warning, "Their mails and webhooks wait too: check whether homeroom serve runs, and look in its log."},
	MailsUnsent: {Warning, "The table mails has the problem of each: repair the cause. No mail is sent twice automatically, so the person must act: on the " +
		"page that waits for the mail, \"send it again\"; an invitation must be sent again by the person who invited. See docs/mail.md."},
	DeliveriesDead: {Warning, "homeroom webhook deliveries shows them. When the receiver works again, replay them."},

	ServerUnknown:     {Error, "Set ${Servers.<NAME>} in every process: nobody can use these schools from here."},
	ServerUnreachable: {Warning, "Its databases were not checked. Run the doctor again when it answers."},
	ServerIsAnother: {Error, "Correct the URL: nothing is created or repaired there. If the databases were moved there, bring all of them with their comments, as " +
		"pg_dumpall and pg_dump --create do; the doctor then offers to record it."},
	ServerWarning:        {Warning, "See docs/install.md."},
	SpareOnUnknownServer: {Warning, "They are never claimed from here. Set ${Servers.<NAME>}, or delete the rows if the server is gone for good."},
}

// Codes returns all codes, for documentation and metrics.
func Codes() []Code {
	codes := make([]Code, 0, len(codeInfos))
	for code := range codeInfos {
		codes = append(codes, code)
	}
	return codes
}
