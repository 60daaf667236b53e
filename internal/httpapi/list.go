package httpapi

import (
	"time"

	"github.com/google/uuid"

	"homeroom/catalog"
	"homeroom/internal/problem"
	"homeroom/messages"
)

// PageInput requests a page of a list. It is exported, since huma does not read unexported embedded structs.
type PageInput struct {
	Cursor string `query:"cursor" maxLength:"200" doc:"The nextCursor of the previous page."`
}

// LimitInput limits the size of a page.
type LimitInput struct {
	Limit int `query:"limit" minimum:"1" maximum:"200" default:"50" doc:"The size of a page."`
}

// ListInput requests a page of a list, of a size.
type ListInput struct {
	PageInput
	LimitInput
}

// page returns a page of a list. If the list continues, next is the cursor of the next page.
func page[R, V any](found catalog.Page[R], show func(R) V) (shown []V, next string) {
	shown = make([]V, len(found.Rows))
	for i, row := range found.Rows {
		shown[i] = show(row)
	}
	return shown, found.NextCursor
}

// parseID reads the id in a path. A text that is not an id is answered like an unknown id.
func parseID(text string, unknown messages.Message) (uuid.UUID, error) {
	id, err := catalog.ParseID(text)
	if err != nil {
		return uuid.Nil, problem.New(problem.NotFound, unknown)
	}
	return id, nil
}

// orZero returns the value of a column; the zero value for null.
func orZero[T any](column *T) (value T) {
	if column != nil {
		value = *column
	}
	return value
}

// utc returns a time in UTC; nil for nil.
func utc(at *time.Time) *time.Time {
	if at == nil {
		return nil
	}
	moved := at.UTC()
	return &moved
}
