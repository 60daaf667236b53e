package main

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"homeroom/identity"
)

// unconfigured stands in for the identity provider in commands that need none. Its methods return an error that names
// what is missing.
type unconfigured struct{ cause error }

func (u unconfigured) err() error { return fmt.Errorf("%w: %w", errNoProvider, u.cause) }

// Create implements [identity.Provider].
func (u unconfigured) Create(context.Context, identity.NewUser) (identity.User, error) {
	return identity.User{}, u.err()
}

// Lookup implements [identity.Provider].
func (u unconfigured) Lookup(context.Context, uuid.UUID) (identity.User, error) {
	return identity.User{}, u.err()
}

// LookupEmail implements [identity.Provider].
func (u unconfigured) LookupEmail(context.Context, string) ([]identity.User, error) {
	return nil, u.err()
}

// Delete implements [identity.Provider].
func (u unconfigured) Delete(context.Context, uuid.UUID) error { return u.err() }
