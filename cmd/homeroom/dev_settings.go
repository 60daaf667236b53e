//go:build dev

package main

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/caarlos0/env/v11"
	"github.com/joho/godotenv"
)

// settingsFile holds the settings of the development server, for commands in another terminal.
const settingsFile = "dev.env"

// settings are environment variables.
type settings map[string]string

// loadSettings reads the settings of the last start, or creates them at the first start.
func loadSettings(path string) (settings, error) {
	s, err := readSettings(path)
	if !errors.Is(err, os.ErrNotExist) {
		return s, err
	}
	return settings{
		"HOMEROOM_TENANT_KEY":        base64.StdEncoding.EncodeToString(randomKey()),
		"HOMEROOM_ALLOW_SUPERUSER":   "true",
		"HOMEROOM_SIGNUP_RATE":       "off",
		"HOMEROOM_SIGNUP_OAUTH_RATE": "off",
		"AUTH0_CLIENT_ID":            "homeroom-dev",
		"AUTH0_CLIENT_SECRET":        rand.Text(),
		"AUTH0_AUDIENCE":             "https://api.homeroom.test",
	}, nil
}

func randomKey() []byte {
	key := make([]byte, 32)
	_, _ = rand.Read(key) // never fails
	return key
}

func readSettings(path string) (settings, error) {
	values, err := godotenv.Read(path)
	if err != nil {
		return nil, err
	}
	s := settings{}
	for name, value := range values {
		s[present(name)] = value
	}
	return s, nil
}

// save writes the settings to a file that only their owner can read.
func (s settings) save(path string) error {
	text, err := godotenv.Marshal(s)
	if err != nil {
		return fmt.Errorf("keep the settings: %w", err)
	}
	fresh := path + ".new"
	if err := os.WriteFile(fresh, []byte(text+"\n"), 0o600); err != nil {
		return fmt.Errorf("keep the settings: %w", err)
	}
	return os.Rename(fresh, path)
}

// under returns the environment with the settings added. Variables of the environment override them, by whatever name
// and also as a file.
func (s settings) under(environ []string) []string {
	said := map[string]bool{}
	for name, value := range env.ToMap(environ) {
		if value != "" {
			said[strings.TrimSuffix(present(name), "_FILE")] = true
		}
	}
	all := slices.Clone(environ)
	for name, value := range s {
		if !said[name] {
			all = append(all, name+"="+value)
		}
	}
	return all
}
