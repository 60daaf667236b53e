package httpapi

import (
	"time"

	"github.com/google/uuid"

	"homeroom/catalog"
	"homeroom/internal/problem"
	"homeroom/messages"
)

// PageInput asks for a part of a list. It is exported, as huma does not look into embedded structs that are not.
type PageInput struct {
	Cursor string `query:"cursor" maxLength:"200" doc:"The nextCursor of the page before."`
}

// LimitInput bounds a part of a list.
type LimitInput struct {
	Limit int `query:"limit" minimum:"1" maximum:"200" default:"50" doc:"How many to list."`
}

// ListInput asks for a part of a list, of a size.
type ListInput struct {
	PageInput
	LimitInput
}

// page shows a part of a list. Where the list continues, next is the cursor for that.
func page[R, V any](found catalog.Page[R], show func(R) V) (shown []V, next string) {
	shown = make([]V, len(found.Rows))
	for i, row := range found.Rows {
		shown[i] = show(row)
	}
	return shown, found.NextCursor
}

// parseID reads the id in a path. Whatever is no id is as unknown as an id that nothing has.
func parseID(text string, unknown messages.Message) (uuid.UUID, error) {
	id, err := catalog.ParseID(text)
	if err != nil {
		return uuid.Nil, problem.New(problem.NotFound, unknown)
	}
	return id, nil
}

// orZero is what a column holds; the zero value where it holds nothing.
func orZero[T any](column *T) (value T) {
	if column != nil {
		value = *column
	}
	return value
}

// utc is a time in UTC; nil where there is none.
func utc(at *time.Time) *time.Time {
	if at == nil {
		return nil
	}
	moved := at.UTC()
	return &moved
}
