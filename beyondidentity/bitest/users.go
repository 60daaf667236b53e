package bitest

import (
	"encoding/json"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
)

func (s *Server) createV1(w http.ResponseWriter, r *http.Request) {
	var body map[string]string
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
		refuse(w, http.StatusBadRequest, "bad_request", "invalid request") // [GUESS], as are the refusals below
		return
	}
	if missing(w, "", body, "external_id", "email", "user_name", "display_name", "binding_token_delivery_method") {
		return
	}
	u := s.create(w, User{
		ExternalID: body["external_id"], Email: body["email"], Name: body["user_name"], DisplayName: body["display_name"],
	})
	if u == nil {
		return
	}
	shown := map[string]any{
		"internal_id": u.ID, "external_id": u.ExternalID, "email": u.Email, "user_name": u.Name, "display_name": u.DisplayName,
		"date_created": u.CreatedAt.Format(time.RFC3339Nano), "date_modified": u.CreatedAt.Format(time.RFC3339Nano),
		"status": "active",
	}
	if s.cfg.FlatAnswers {
		writeJSON(w, http.StatusOK, shown)
		return
	}
	writeJSON(w, http.StatusOK, map[string]any{"user": shown})
}

func (s *Server) createV2(w http.ResponseWriter, r *http.Request) {
	var body struct{ User map[string]string }
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
		refuse(w, http.StatusBadRequest, "bad_request", "invalid request")
		return
	}
	if missing(w, "user.", body.User, "external_id", "email_address", "username", "display_name") {
		return
	}
	u := s.create(w, User{
		ExternalID: body.User["external_id"], Email: body.User["email_address"], Name: body.User["username"],
		DisplayName: body.User["display_name"],
	})
	if u != nil {
		writeJSON(w, http.StatusOK, u.show())
	}
}

// missing answers if a member is missing, unknown, or not a valid e-mail.
func missing(w http.ResponseWriter, prefix string, body map[string]string, required ...string) bool {
	violations := []map[string]string{}
	for _, field := range required {
		if body[field] == "" {
			violations = append(violations, map[string]string{"field": prefix + field, "description": "missing"})
		} else if strings.HasPrefix(field, "email") && !strings.Contains(body[field], "@") {
			violations = append(violations, map[string]string{"field": prefix + field, "description": "invalid"})
		}
	}
	for field := range body {
		if !slices.Contains(required, field) { // nothing else may be sent, especially no password [GUESS]
			violations = append(violations, map[string]string{"field": prefix + field, "description": "unknown"})
		}
	}
	if len(violations) == 0 {
		return false
	}
	writeJSON(w, http.StatusBadRequest, map[string]any{
		"code": "bad_request", "message": "invalid parameters",
		"details": []any{map[string]any{"type": "FieldViolations", "field_violations": violations}},
	})
	return true
}

// create answers if the user is refused, and sends the mail otherwise.
func (s *Server) create(w http.ResponseWriter, u User) *User {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, other := range s.users {
		switch {
		case other.Deleted:
		case other.ExternalID == u.ExternalID:
			refuse(w, http.StatusConflict, "conflict", "user external id already taken")
			return nil
		case strings.EqualFold(other.Email, u.Email), strings.EqualFold(other.Name, u.Name):
			refuse(w, http.StatusConflict, "conflict", "user already exists")
			return nil
		}
	}
	u.ID, u.CreatedAt = uuid.NewString(), s.cfg.Now().UTC().Truncate(time.Millisecond)
	s.users = append(s.users, &u)
	s.mails = append(s.mails, u.Email)
	return &u
}

// show returns a user as version 2 sends it.
func (u *User) show() map[string]any {
	state := "ACTIVE"
	if u.Deleted {
		state = "DELETED"
	}
	at := u.CreatedAt.Format(time.RFC3339Nano)
	return map[string]any{
		"id": u.ID, "tenant_id": "lincoln", "external_id": u.ExternalID, "email_address": u.Email, "username": u.Name,
		"display_name": u.DisplayName, "create_time": at, "update_time": at, "state": state, "source": "api",
		"has_active_passkey": false,
	}
}

// equals is the simulated part of RFC 7644's filters: one comparison of one of two attributes.
var equals = regexp.MustCompile(`^(external_id|email_address) eq ("(?:[^"\\]|\\.)*")$`)

func (s *Server) list(w http.ResponseWriter, r *http.Request) {
	var value string
	m := equals.FindStringSubmatch(r.URL.Query().Get("filter"))
	if m == nil || json.Unmarshal([]byte(m[2]), &value) != nil {
		refuse(w, http.StatusBadRequest, "bad_request", "invalid request")
		return
	}
	size, _ := strconv.Atoi(r.URL.Query().Get("page_size")) // without one, the list is empty
	s.mu.Lock()
	defer s.mu.Unlock()
	found := []map[string]any{}
	for _, u := range s.users {
		has := map[string]string{"external_id": u.ExternalID, "email_address": u.Email}[m[1]]
		if has == value && (!u.Deleted || s.cfg.RetainsDeleted) {
			found = append(found, u.show())
		}
	}
	writeJSON(w, http.StatusOK, map[string]any{"users": found[:min(size, len(found))], "total_size": len(found)})
}

func (s *Server) remove(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, u := range s.users {
		if u.ID == r.PathValue("id") && !u.Deleted {
			u.Deleted = true
			return // with an empty body
		}
	}
	writeJSON(w, http.StatusNotFound, map[string]any{
		"code": "not_found", "message": "user not found",
		"details": []any{map[string]string{"type": "ResourceInfo", "resource_type": "User", "id": r.PathValue("id")}},
	})
}
