package catalog

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/google/uuid"
)

// ErrBadCursor says that a cursor does not come from a page of the same list.
var ErrBadCursor = errors.New("the cursor does not come from this service")

// Page is a part of a list. Pages are found by key, so a later page costs as much as the first, and rows that are
// inserted or deleted in between shift none.
type Page[T any] struct {
	Rows []T
	// NextCursor continues the list; empty at its end. It is opaque to callers.
	NextCursor string
}

// pageOf returns a page of up to limit+1 rows.
func pageOf[T any](rows []T, limit int, cursor func(T) string) Page[T] {
	if len(rows) <= limit {
		return Page[T]{Rows: rows}
	}
	return Page[T]{Rows: rows[:limit], NextCursor: cursor(rows[limit-1])}
}

// list is a query whose rows are read in pages, with their ids as cursors.
type list[T any] struct {
	// query ends with its conditions.
	query string
	// key are the columns that order the rows; the id is the last. If it is not the only one, the table has the others.
	key, table  string
	newestFirst bool
	id          func(T) uuid.UUID
}

// page reads the first rows, or those after the cursor: limit of them, and one at least. It fails with [ErrBadCursor].
func (l list[T]) page(ctx context.Context, q querier, cursor string, limit int, args ...any) (Page[T], error) {
	limit = max(limit, 1)
	query, compare, order := l.query, ">", l.key
	if l.newestFirst {
		compare, order = "<", strings.ReplaceAll(l.key, ",", " desc,")+" desc"
	}
	if cursor != "" {
		after, err := ParseID(cursor)
		if err != nil || after == uuid.Nil {
			return Page[T]{}, ErrBadCursor
		}
		args = append(args, after)
		place := fmt.Sprintf("$%d::uuid", len(args))
		if l.table != "" {
			place = fmt.Sprintf("select %s from %s where id = %s", l.key, l.table, place)
		}
		query += fmt.Sprintf(" and (%s) %s (%s)", l.key, compare, place)
	}
	rows, err := many[T](ctx, q, fmt.Sprintf("%s order by %s limit %d", query, order, limit+1), args...)
	if err != nil {
		return Page[T]{}, err
	}
	return pageOf(rows, limit, func(row T) string { return l.id(row).String() }), nil
}
