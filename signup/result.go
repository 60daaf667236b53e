package signup

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"

	"homeroom/catalog"
	"homeroom/identity"
)

// Result is the answer for a school that is ready. It is stored, and a repetition gets exactly the same answer.
type Result struct {
	SignupID uuid.UUID `json:"signupId"`
	User     User      `json:"user"`
	School   School    `json:"school"`
}

// User is the person who signed the school up.
type User struct {
	ID uuid.UUID `json:"id"`
	// IdentityID is the identity provider's id.
	IdentityID    string    `json:"identityId"`
	Email         string    `json:"email"`
	EmailVerified bool      `json:"emailVerified"`
	GivenName     string    `json:"givenName,omitempty"`
	FamilyName    string    `json:"familyName,omitempty"`
	Name          string    `json:"name,omitempty"`
	CreatedAt     time.Time `json:"createdAt"`
}

// School is the school, and the place of its data.
type School struct {
	ID            uuid.UUID `json:"id"`
	Name          string    `json:"name"`
	Slug          string    `json:"slug"`
	Database      string    `json:"database"`
	SchemaVersion uint      `json:"schemaVersion"`
	Status        string    `json:"status"`
	CreatedAt     time.Time `json:"createdAt"`
}

// Outcome is the state of a sign-up when its request is answered.
type Outcome struct {
	SignupID uuid.UUID
	Status   catalog.Status
	// Result is nil while the work continues.
	Result *Result
	// Repeated reports whether the request is a repetition by its key, even when it fails. Its password was not
	// compared with the first one's.
	Repeated bool
}

// View is the state of a sign-up for everybody who knows its id.
type View struct {
	SignupID uuid.UUID       `json:"signupId"`
	Status   catalog.Status  `json:"status"`
	User     *User           `json:"user,omitempty"`
	School   *School         `json:"school,omitempty"`
	Steps    []Step          `json:"steps"`
	Problem  json.RawMessage `json:"problem,omitempty"`
}

// Final reports whether the view will not change any more.
func (v View) Final() bool {
	return v.Status == catalog.SignupReady || v.Status == catalog.Failed || v.Status == catalog.Expired
}

// view returns the View of a sign-up's row.
func view(row catalog.Signup) (View, error) {
	v := View{SignupID: row.ID, Status: row.Status, Problem: row.Problem}
	if err := json.Unmarshal(row.Steps, &v.Steps); err != nil {
		return View{}, fmt.Errorf("read steps of sign-up %s: %w", row.ID, err)
	}
	if row.Result != nil {
		result, err := storedResult(row)
		if err != nil {
			return View{}, err
		}
		v.User, v.School = &result.User, &result.School
	}
	return v, nil
}

// storedResult reads the stored result of a ready sign-up.
func storedResult(row catalog.Signup) (*Result, error) {
	var result Result
	if err := json.Unmarshal(row.Result, &result); err != nil {
		return nil, fmt.Errorf("read result of sign-up %s: %w", row.ID, err)
	}
	return &result, nil
}

// NewUser returns a user as it appears in answers.
func NewUser(u catalog.User) User {
	return User{
		ID: u.ID, IdentityID: u.IdentityID, Email: u.Email, EmailVerified: u.EmailVerified,
		GivenName: u.GivenName, FamilyName: u.FamilyName, Name: u.Name, CreatedAt: u.CreatedAt.UTC(),
	}
}

// NewSchool returns a tenant as it appears in answers.
func NewSchool(t catalog.Tenant) School {
	return School{
		ID: t.ID, Name: t.Name, Slug: t.Slug, Database: t.Database, SchemaVersion: t.SchemaVersion,
		Status: string(t.State), CreatedAt: t.CreatedAt.UTC(),
	}
}

// NewResult returns the answer to a sign-up whose school is ready. The tenant may still be in another state.
func NewResult(signupID uuid.UUID, user catalog.User, school catalog.Tenant) Result {
	school.State = catalog.Ready
	return Result{SignupID: signupID, User: NewUser(user), School: NewSchool(school)}
}

// result returns the answer to the job's sign-up.
func (j *job) result(account identity.User, version uint) Result {
	school := j.tenant
	school.SchemaVersion = version
	return NewResult(j.signup.ID, catalog.User{
		ID: j.signup.UserID, IdentityID: account.ID, Email: j.signup.Email, EmailVerified: account.EmailVerified,
		Person: j.person, CreatedAt: j.signup.CreatedAt,
	}, school)
}
