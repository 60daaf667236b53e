package auth0test

import (
	"net/http"
	"strings"
)

// managed wraps a call of the Management API in the checks that all calls share: first the global limit, then the
// token, then its scope (any of scopes is enough). Only successes have rate-limit headers, as recorded.
func (s *Server) managed(next http.HandlerFunc, scopes ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		state, ok := takeToken(s.limits, s.now())
		if !ok {
			globalLimit(w, state)
			return
		}
		if refusal := s.authorize(w.Header(), r, scopes); refusal != nil {
			refusal.write(w)
			return
		}
		next(limitedWriter{w, state}, r)
	}
}

// limitedWriter adds the headers of the rate limit to a success.
type limitedWriter struct {
	http.ResponseWriter
	state rateState
}

// WriteHeader implements [http.ResponseWriter].
func (w limitedWriter) WriteHeader(status int) {
	if status < http.StatusMultipleChoices {
		w.state.write(w.Header())
	}
	w.ResponseWriter.WriteHeader(status)
}

func (s *Server) authorize(h http.Header, r *http.Request, scopes []string) *problem {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") || token == "" {
		h.Set("WWW-Authenticate", "Bearer")
		return &problem{Status: http.StatusUnauthorized, Message: "Missing authentication"}
	}
	claims, err := s.readBearer(token)
	if err != nil {
		return tokenRefusal(err.Error())
	}
	if !claims.hasAnyScope(scopes) {
		return &problem{
			Status: http.StatusForbidden, Code: codeScope,
			Message: "Insufficient scope, expected any of: " + strings.Join(scopes, ","),
		}
	}
	return nil
}

func tokenRefusal(message string) *problem {
	return &problem{Status: http.StatusUnauthorized, Message: message, Attributes: &attributes{Error: message}}
}
