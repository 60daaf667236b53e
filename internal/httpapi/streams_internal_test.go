package httpapi

import (
	"context"
	"sync/atomic"
	"testing"
	"time"
)

type seen int

func (s seen) Final() bool { return s < 0 }

// TestAThingIsLookedAtOnceForAllWhoFollowIt: a stream must not cost a query of its own a few times a second.
func TestAThingIsLookedAtOnceForAllWhoFollowIt(t *testing.T) {
	t.Parallel()
	s := newStreams(time.Millisecond)
	var looks atomic.Int32
	first, leave := s.follow("signup 1", seen(0), func(context.Context) (followed, error) { return seen(looks.Add(1)), nil })
	leaves := []func(){leave}
	for range 20 {
		joined, leave := s.follow("signup 1", seen(0), func(context.Context) (followed, error) {
			t.Error("somebody who joined looks, too")
			return seen(0), nil
		})
		if joined != first {
			t.Fatal("a feed for each stream")
		}
		leaves = append(leaves, leave)
	}
	for last := seen(0); last < 20; {
		view, err, changed := first.state()
		if err != nil {
			t.Fatal(err)
		}
		last = view.(seen)
		<-changed
	}
	other, leaveOther := s.follow("signup 2", seen(0), func(context.Context) (followed, error) { return seen(-1), nil })
	_, _, changed := other.state()
	<-changed
	if view, _, _ := other.state(); !view.Final() {
		t.Error("another thing is not followed by itself")
	}
	leaveOther()
	for _, leave := range leaves {
		leave()
	}
	if len(s.feeds) != 0 {
		t.Errorf("%d feeds are left", len(s.feeds))
	}
}
