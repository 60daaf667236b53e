package signup

import (
	"regexp"
	"strings"

	"github.com/google/uuid"
	"github.com/gosimple/slug"
)

var notSlug = regexp.MustCompile(`[^a-z0-9]+`)

// Slug returns the name by which people find a school: its name in lower-case ASCII words. Nothing in Postgres has this
// name.
func Slug(schoolName string) string {
	const longest = 60
	s := strings.Trim(notSlug.ReplaceAllString(slug.Make(schoolName), "-"), "-")
	if len(s) > longest {
		s = strings.TrimRight(s[:longest], "-")
	}
	if s == "" {
		return "school"
	}
	if _, err := uuid.Parse(s); err == nil {
		return "school-" + s // else it would look like an id
	}
	return s
}
