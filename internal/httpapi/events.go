package httpapi

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"homeroom/internal/display"
	"homeroom/internal/problem"
	"homeroom/messages"
	"homeroom/signup"
)

const (
	// maxStreamDuration is the longest time that a stream takes. Browsers reconnect by themselves.
	maxStreamDuration = 10 * time.Minute
	// heartbeatInterval keeps proxies from closing a stream without events.
	heartbeatInterval = 15 * time.Second
	// sendTimeout is how long a client may take to receive an event.
	sendTimeout = 10 * time.Second
	// finalEvent is the id of the last event. A browser that reconnects sends it, and gets no more events.
	finalEvent = "final"
)

// followed is what a stream sends: a view of something that changes until it is final.
type followed interface{ Final() bool }

var _, _ followed = signup.View{}, MigrationDetails{}

// EventsHeader is sent by clients that reconnect. It is exported, since huma does not read unexported embedded
// structs.
type EventsHeader struct {
	LastEventID string `header:"Last-Event-ID" doc:"Sent by browsers that reconnect."`
}

// streaming completes an operation that answers with events of this name. Each has the data of the operation at path.
func streaming(op huma.Operation, name, path, example string) huma.Operation {
	op.Description = fmt.Sprintf("Server-sent events, one named `%s` for the present state and for each change, with the data of `GET %s`. "+
		"The stream ends after the final state. A client that reconnects then gets 204, which ends an EventSource. ", name, path) + op.Description
	op.Errors = []int{http.StatusNotFound, http.StatusServiceUnavailable}
	op.Metadata = flags(flagStream)
	op.Responses = map[string]*huma.Response{
		"200": {Description: "The stream.", Content: map[string]*huma.MediaType{"text/event-stream": {
			Schema:  &huma.Schema{Type: huma.TypeString},
			Example: "event: " + name + "\ndata: " + example + "\n\n",
		}}},
		"204": {Description: "There are no more events: the last one was final."},
	}
	return op
}

// events starts a stream of what look returns for the id. Before the start, errors are answered as usual.
func (s *server) events(ctx context.Context, name, id, lastID string, look func(context.Context) (followed, error)) (*huma.StreamResponse, error) {
	bounded, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	view, err := look(bounded)
	if err != nil {
		return nil, err
	}
	if lastID == finalEvent && view.Final() {
		return &huma.StreamResponse{Body: func(ctx huma.Context) { ctx.SetStatus(http.StatusNoContent) }}, nil
	}
	if requestOf(ctx).head {
		return &huma.StreamResponse{Body: beginStream}, nil
	}
	thing := name + " " + strings.ToLower(id)
	leave := s.streams.enter(sharesOf(ctx, thing))
	if leave == nil {
		return nil, problem.New(problem.Busy, messages.ID("detail.streams")).WithRetryAfter(5 * time.Second)
	}
	return &huma.StreamResponse{Body: func(hctx huma.Context) {
		defer leave()
		beginStream(hctx)
		out := &stream{name: name, w: hctx.BodyWriter(), control: requestOf(ctx).control}
		news, part := s.streams.follow(thing, view, look)
		defer part()
		err := s.follow(ctx, news, out)
		if request := requestOf(ctx); err != nil && ctx.Err() == nil {
			request.Cause = err
		}
	}}, nil
}

func beginStream(ctx huma.Context) {
	ctx.SetHeader("Content-Type", "text/event-stream")
	ctx.SetHeader("X-Accel-Buffering", "no") // nginx would buffer the events
	ctx.SetStatus(http.StatusOK)
}

// follow sends the current state and every change, until it is final, the client or the server disconnects, or the
// time is over.
func (s *server) follow(ctx context.Context, news *feed, out *stream) error {
	ctx, cancel := context.WithTimeout(ctx, maxStreamDuration)
	defer cancel()
	draining, _ := ctx.Value(drainingKey{}).(chan struct{})
	heartbeat := time.NewTicker(heartbeatInterval)
	defer heartbeat.Stop()
	for {
		view, failed, changed := news.state()
		if failed != nil {
			return failed // the client reconnects
		}
		if err := out.send(view); err != nil || view.Final() {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-draining:
			return nil
		case <-heartbeat.C:
			if err := out.write(": still here\n\n"); err != nil {
				return err
			}
		case <-changed:
		}
	}
}

// stream writes server-sent events.
type stream struct {
	name    string
	w       io.Writer
	control *http.ResponseController
	last    []byte
}

// send writes a view, unless it is the one that was sent last.
func (s *stream) send(view followed) error {
	var text bytes.Buffer
	if err := display.JSON(&text, view, ""); err != nil {
		return fmt.Errorf("write event: %w", err)
	}
	data := bytes.TrimSpace(text.Bytes())
	if bytes.Equal(data, s.last) {
		return nil
	}
	s.last = data
	id := ""
	if view.Final() {
		id = "id: " + finalEvent + "\n"
	}
	return s.write("event: " + s.name + "\n" + id + "data: " + string(data) + "\n\n")
}

// write sets a deadline for each write, since a stream takes longer than the server's timeout.
func (s *stream) write(text string) error {
	if err := s.control.SetWriteDeadline(time.Now().Add(sendTimeout)); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return fmt.Errorf("write event: %w", err)
	}
	if _, err := io.WriteString(s.w, text); err != nil {
		return fmt.Errorf("write event: %w", err)
	}
	return s.control.Flush()
}
