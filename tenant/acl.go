package tenant

import (
	"slices"
	"strings"
)

// privileges are the letters of an access control item
// (https://www.postgresql.org/docs/current/ddl-priv.html#PRIVILEGE-ABBREVS-TABLE).
var privileges = map[byte]string{
	'r': "select", 'a': "insert", 'w': "update", 'd': "delete", 'D': "truncate", 'x': "references", 't': "trigger",
	'm': "maintain", 'X': "execute", 'U': "usage", 'C': "create", 'c': "connect", 'T': "temporary", 's': "set", 'A': "alter system",
}

// grantees formats an access control list, one item a line: the privileges of each grantee except the owner. It omits
// the grantor. Postgres's aclexplode would need six subqueries in schema.sql, which would be planned and run for each
// object of each tenant, and a different format would change the stored fingerprints.
func grantees(acl, owner string) string {
	rights := map[string][]string{}
	for item := range strings.Lines(acl) {
		grantee, letters := cutGrantee(strings.TrimSuffix(item, "\n"))
		switch grantee {
		case "":
			grantee = "public"
		case owner:
			continue
		}
		letters, _, _ = strings.Cut(letters, "/")
		for i := range len(letters) {
			switch right := privileges[letters[i]]; {
			case letters[i] == '*':
				rights[grantee][len(rights[grantee])-1] += " with grant option"
			case right == "":
				rights[grantee] = append(rights[grantee], letters[i:i+1])
			default:
				rights[grantee] = append(rights[grantee], right)
			}
		}
	}
	var lines []string
	for grantee, list := range rights {
		slices.Sort(list)
		lines = append(lines, grantee+": "+strings.Join(slices.Compact(list), ", "))
	}
	slices.Sort(lines)
	return strings.Join(lines, "; ")
}

// cutGrantee splits an item such as homeroom_tenant=arwd/homeroom_owner after its name, which may be quoted.
func cutGrantee(item string) (grantee, rest string) {
	quoted := false
	for i := range len(item) {
		switch {
		case item[i] == '"':
			quoted = !quoted
		case item[i] == '=' && !quoted:
			return item[:i], item[i+1:]
		}
	}
	return item, ""
}
