package httpapi

import (
	"errors"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"homeroom/internal/problem"
	"homeroom/messages"
)

// refusal turns huma's refusals and the errors of handlers into problems. Of huma's details it uses only the
// location: they contain the submitted values, such as a password. largest is the largest number of bytes of the
// body.
func refusal(status, largest int, message string, causes []error) *problem.Problem {
	for _, cause := range causes {
		var known *problem.Problem
		if errors.As(cause, &known) {
			return known
		}
	}
	switch status {
	case http.StatusRequestEntityTooLarge:
		return problem.BodyTooLarge(largest)
	case http.StatusUnsupportedMediaType:
		return problem.New(problem.UnsupportedMediaType, messages.ID("detail.body_media"))
	case http.StatusRequestTimeout:
		return problem.New(problem.MalformedRequest, messages.ID("detail.body_late"))
	}
	if message == "cannot read request body" {
		return problem.New(problem.MalformedRequest, messages.ID("detail.body_incomplete"))
	}
	if status >= http.StatusInternalServerError && len(causes) > 0 {
		return problem.Of(errors.Join(causes...))
	}
	if message == "request body is required" {
		return problem.New(problem.MalformedRequest, messages.ID("detail.body_empty"))
	}
	return refusedFields(causes)
}

// refusedFields turns huma's details into fields.
func refusedFields(causes []error) *problem.Problem {
	var fields []problem.Field
	for _, cause := range causes {
		var detail *huma.ErrorDetail
		if !errors.As(cause, &detail) {
			continue
		}
		if detail.Location == "body" {
			return problem.New(problem.MalformedRequest, malformedBody(detail.Message))
		}
		_, field, _ := strings.Cut(detail.Location, ".")
		code, text := parameterMessage(detail.Message)
		fields = append(fields, problem.Field{Field: field, Code: code, Message: text})
	}
	return problem.Invalid(fields...)
}

// malformedBody returns the message of a malformed.
func malformedBody(text string) messages.Message {
	id, offset, cut := strings.Cut(text, " ")
	if cut {
		return messages.ID("detail.body_syntax", messages.Args{"Cause": messages.ID(id), "Byte": offset})
	}
	return messages.ID(id)
}

// parameterMessage gives huma's error about a parameter a stable code. huma only returns an English sentence.
// TestEveryRefusalOfHumaHasItsCode has all sentences, and fails when a release of huma changes one. Bounds and
// choices in a sentence are ours; sentences that could quote the value are replaced.
func parameterMessage(text string) (code string, message messages.Message) {
	rule := messages.Args{"Rule": text}
	switch {
	case strings.HasPrefix(text, "unknown query parameter"):
		return "unknown_field", messages.ID("field.unknown_parameter")
	case strings.HasPrefix(text, "required"):
		return "required", messages.ID("field.parameter_required")
	case strings.HasPrefix(text, "expected length >="):
		return "too_short", messages.ID("field.parameter_short", rule)
	case strings.HasPrefix(text, "expected length <="):
		return "too_long", messages.ID("field.parameter_long", rule)
	case strings.HasPrefix(text, "expected number"):
		return "out_of_range", messages.ID("field.parameter_range", rule)
	case strings.HasPrefix(text, "expected value to be one of"):
		return "invalid_choice", messages.ID("field.parameter_choice", rule)
	case strings.HasPrefix(text, "invalid integer"), strings.HasPrefix(text, "expected integer"):
		return "wrong_type", messages.ID("field.whole_number")
	}
	return "invalid_format", messages.ID("field.parameter_form")
}
