package signup

import (
	"regexp"
	"strings"

	"github.com/google/uuid"
	"github.com/gosimple/slug"
)

var notSlug = regexp.MustCompile(`[^a-z0-9]+`)

// Slug is the name by which people find a school: its name in lower-case ASCII words. It names nothing in Postgres.
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
		return "school-" + s // it would be taken for an id
	}
	return s
}
