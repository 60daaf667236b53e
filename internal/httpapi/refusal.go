package httpapi

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"
)

// refusal words what huma refuses, and what handlers return. Of huma's details it takes the place alone: they hold the
// values that were sent, a password among them. largest is how many bytes the body may have.
func refusal(status, largest int, message string, causes []error) *Problem {
	for _, cause := range causes {
		var problem *Problem
		if errors.As(cause, &problem) {
			return problem
		}
	}
	switch status {
	case http.StatusRequestEntityTooLarge:
		return newProblem(tooLarge, fmt.Sprintf("The body may have at most %d KiB.", largest>>10))
	case http.StatusUnsupportedMediaType:
		return newProblem(unsupportedMediaType, "Send the body as application/json, in UTF-8.")
	case http.StatusRequestTimeout:
		return newProblem(malformedRequest, "The body did not arrive in time.")
	}
	if message == "cannot read request body" {
		return newProblem(malformedRequest, "The body did not arrive completely.")
	}
	if status >= http.StatusInternalServerError && len(causes) > 0 {
		return problemOf(errors.Join(causes...))
	}
	if message == "request body is required" {
		return newProblem(malformedRequest, "The body is empty. Send a JSON object.")
	}
	return refusedFields(causes)
}

// refusedFields turns huma's details into fields.
func refusedFields(causes []error) *Problem {
	var fields []FieldProblem
	for _, cause := range causes {
		var detail *huma.ErrorDetail
		if !errors.As(cause, &detail) {
			continue
		}
		if detail.Location == "body" { // the format's own words: see json.go
			return newProblem(malformedRequest, detail.Message)
		}
		_, field, _ := strings.Cut(detail.Location, ".")
		code, text := wordParameter(detail.Message)
		fields = append(fields, FieldProblem{Field: field, Code: code, Message: text})
	}
	return invalidFields(fields...)
}

// wordParameter gives what huma says of a parameter a stable code. Huma's texts name bounds and choices, which are ours;
// the ones that could quote the value are replaced.
func wordParameter(message string) (code, text string) {
	switch {
	case strings.HasPrefix(message, "unknown query parameter"):
		return "unknown_field", "There is no such parameter."
	case strings.HasPrefix(message, "required"):
		return "required", "This parameter is needed."
	case strings.HasPrefix(message, "expected length >="):
		return "too_short", "Too short: " + message + "."
	case strings.HasPrefix(message, "expected length <="):
		return "too_long", "Too long: " + message + "."
	case strings.HasPrefix(message, "expected number"):
		return "out_of_range", "Out of range: " + message + "."
	case strings.HasPrefix(message, "expected value to be one of"):
		return "invalid_choice", "Unknown choice: " + message + "."
	case strings.HasPrefix(message, "invalid integer"), strings.HasPrefix(message, "expected integer"):
		return "wrong_type", "Use a whole number."
	}
	return "invalid_format", "This is not in the expected form."
}
