package tenant

import (
	"encoding/base32"
	"fmt"
	"regexp"

	"github.com/google/uuid"
)

// ID names a tenant. It is a UUIDv7, so that ids sort by time.
type ID uuid.UUID

// NewID returns a new id.
func NewID() ID { return ID(uuid.Must(uuid.NewV7())) }

// String returns the UUID in its usual form.
func (id ID) String() string { return uuid.UUID(id).String() }

// UUID returns the id as a plain UUID.
func (id ID) UUID() uuid.UUID { return uuid.UUID(id) }

// encoding is RFC 4648's base32 in lower case, without padding: 16 bytes become 26 characters.
var encoding = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// Database returns the name of the tenant's database and role: "t_" and 26 characters, 28 bytes in all. It contains no
// text that a person chose: names cannot collide when Postgres truncates them at 63 bytes, be a reserved word, contain
// SQL, or reveal a tenant's identity to the other tenants, which can list pg_database.
func (id ID) Database() string { return "t_" + encoding.EncodeToString(id[:]) }

var databasePattern = regexp.MustCompile(`^t_[a-z2-7]{26}$`)

// ParseDatabase is the inverse of [ID.Database]. The last letter has unused bits: a name in which they are not zero is invalid.
func ParseDatabase(name string) (ID, error) {
	if !databasePattern.MatchString(name) {
		return ID{}, fmt.Errorf("%q is not the name of a tenant's database", name)
	}
	var id ID
	if _, err := encoding.Decode(id[:], []byte(name[2:])); err != nil {
		return ID{}, fmt.Errorf("%q is not the name of a tenant's database: %w", name, err)
	}
	if id.Database() != name {
		return ID{}, fmt.Errorf("%q is not the name of a tenant's database: no id has this form", name)
	}
	return id, nil
}
