package auth0test

import (
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	_ "embed"
	"encoding/hex"
	"net/http"
	"slices"
	"strings"
	"unicode/utf16"
)

// Policy is a required strength of passwords:
// https://auth0.com/docs/authenticate/database-connections/password-strength
type Policy string

// The five levels, the weakest first.
const (
	PolicyNone      Policy = "none"
	PolicyLow       Policy = "low"
	PolicyFair      Policy = "fair"
	PolicyGood      Policy = "good"
	PolicyExcellent Policy = "excellent"
)

// rules are the requirements of a level.
type rules struct {
	minLength int
	classes   int  // how many of the four classes of characters
	noSpecial bool // only of the first three classes
	maxRun    int  // how many identical characters in a row are allowed; 0 means any number
}

var policies = map[Policy]rules{
	PolicyNone:      {minLength: 1},
	PolicyLow:       {minLength: 6},
	PolicyFair:      {minLength: 8, classes: 3, noSpecial: true},
	PolicyGood:      {minLength: 8, classes: 3},
	PolicyExcellent: {minLength: 10, classes: 3, maxRun: 2},
}

const (
	specialCharacters = " !\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"
	// bcryptBytes is how much of a password is used, since Auth0 hashes with bcrypt.
	bcryptBytes = 72
)

// strongEnough reports whether the connection's policy accepts the password. Characters are counted as in JavaScript,
// and only ASCII letters are letters: both as in Auth0's own library.
func (c Connection) strongEnough(password string) bool {
	rules := policies[c.Policy]
	if c.MinLength > 0 {
		rules.minLength = c.MinLength
	}
	if len(utf16.Encode([]rune(password))) < rules.minLength {
		return false
	}
	classes := 0
	for class, has := range []bool{
		strings.ContainsFunc(password, func(r rune) bool { return 'a' <= r && r <= 'z' }),
		strings.ContainsFunc(password, func(r rune) bool { return 'A' <= r && r <= 'Z' }),
		strings.ContainsFunc(password, func(r rune) bool { return '0' <= r && r <= '9' }),
		strings.ContainsAny(password, specialCharacters),
	} {
		if has && (class < 3 || !rules.noSpecial) {
			classes++
		}
	}
	return classes >= rules.classes && (rules.maxRun == 0 || longestRun(password) <= rules.maxRun)
}

func longestRun(s string) int {
	longest, run, last := 0, 0, rune(-1)
	for _, r := range s {
		if r != last {
			run = 0
		}
		run++
		longest, last = max(longest, run), r
	}
	return longest
}

// commonPasswords replaces Auth0's list of 10,000.
//
//go:embed common_passwords.txt
var commonPasswords string

var commonWords = strings.Fields(commonPasswords)

// checkPassword checks a password by the connection's options. The refusals have a status and a message only, no code
// [FIELD]; the order of the checks is a [GUESS].
func (c Connection) checkPassword(password string, user User, history []string) *problem {
	switch {
	case !c.strongEnough(password), c.RejectLong && len(password) > bcryptBytes:
		return refusedPassword("PasswordStrengthError: Password is too weak")
	case c.Dictionary && c.isCommon(password):
		return refusedPassword("PasswordDictionaryError: Password is too common")
	case c.NoUserInfo && containsUserInfo(password, user):
		return refusedPassword("PasswordNoUserInfoError: Password contains user information")
	case slices.ContainsFunc(history, func(hash string) bool { return samePassword(hash, password) }):
		return refusedPassword("PasswordHistoryError: Password has previously been used")
	}
	return nil
}

func refusedPassword(message string) *problem {
	return &problem{Status: http.StatusBadRequest, Message: message}
}

func (c Connection) isCommon(password string) bool {
	same := func(word string) bool { return strings.EqualFold(word, password) }
	return slices.ContainsFunc(commonWords, same) || slices.ContainsFunc(c.DictionaryWords, same)
}

// containsUserInfo searches for parts of the profile in the password. It ignores parts of less than three characters, a
// [GUESS].
func containsUserInfo(password string, user User) bool {
	local, _, _ := strings.Cut(user.Email, "@")
	parts := []string{user.Name, user.Username, user.Nickname, local}
	for _, key := range []string{"name", "first", "last"} {
		if text, ok := user.UserMetadata[key].(string); ok {
			parts = append(parts, text)
		}
	}
	password = strings.ToLower(password)
	return slices.ContainsFunc(parts, func(part string) bool {
		return len(part) >= 3 && strings.Contains(password, strings.ToLower(part))
	})
}

// hashPassword salts, and takes just enough time that passwords cannot be read from the state file: the users are not
// real, and benchmarks should not measure the simulator's hashing. Auth0 itself uses bcrypt.
func hashPassword(password string) string {
	salt := make([]byte, 16)
	_, _ = rand.Read(salt) // never fails, see its documentation
	return hex.EncodeToString(salt) + ":" + hex.EncodeToString(derive(password, salt))
}

func samePassword(hash, password string) bool {
	salted, wanted, _ := strings.Cut(hash, ":")
	salt, err := hex.DecodeString(salted)
	return err == nil && subtle.ConstantTimeCompare([]byte(hex.EncodeToString(derive(password, salt))), []byte(wanted)) == 1
}

func derive(password string, salt []byte) []byte {
	key, err := pbkdf2.Key(sha256.New, string(truncatePassword(password)), salt, 100, sha256.Size)
	if err != nil {
		panic("auth0test: hash a password: " + err.Error()) // only in FIPS mode, for a short salt
	}
	return key
}

func truncatePassword(password string) []byte {
	return []byte(password[:min(len(password), bcryptBytes)])
}
