package signup

import (
	"testing"
	"time"

	"homeroom/catalog"
)

func TestTheRefillerYieldsToSignups(t *testing.T) {
	t.Parallel()
	s := &Service{cfg: Config{Spares: 8}}
	for name, c := range map[string]struct {
		stock catalog.Stock
		want  time.Duration
	}{
		"full":                               {catalog.Stock{Ready: 8, SinceLastSignup: time.Hour}, refillInterval},
		"one is missing and nobody signs up": {catalog.Stock{Ready: 7, SinceLastSignup: quietPeriod}, 0},
		"one is missing and somebody has just signed up": {catalog.Stock{Ready: 7, SinceLastSignup: quietPeriod / 4}, quietPeriod - quietPeriod/4},
		"half of it is left while people sign up":        {catalog.Stock{Ready: 4}, quietPeriod},
		"less than half of it is left":                   {catalog.Stock{Ready: 3}, 0},
		"nothing is left and one school waits":           {catalog.Stock{Waiting: 1}, 0},
		"nothing is left and several schools wait":       {catalog.Stock{Waiting: 2}, quietPeriod},
		"one can be discarded":                           {catalog.Stock{Ready: 8, Discardable: 1, SinceLastSignup: time.Hour}, 0},
		"one can be discarded while people sign up":      {catalog.Stock{Ready: 8, Discardable: 1}, quietPeriod},
		"none of a whole stock could be built":           {catalog.Stock{Discardable: 9, Begun: 9, SinceLastSignup: time.Hour}, 0},
	} {
		if got := s.refillDelay(c.stock); got != c.want {
			t.Errorf("%s: it waits %s, want %s", name, got, c.want)
		}
	}
}

func TestNoMoreSparesAreBegunWhereNoneCanBeBuilt(t *testing.T) {
	t.Parallel()
	s := &Service{cfg: Config{Spares: 2}}
	for stock, want := range map[catalog.Stock]int{
		{}: 2, {Ready: 2}: 0, {Ready: 3}: 0, {Discardable: 9}: 2, {Discardable: 2, Begun: 2}: 2, {Discardable: 3, Begun: 3}: 0,
	} {
		if got := s.missing(stock); got != want {
			t.Errorf("%+v: %d are begun, want %d", stock, got, want)
		}
	}
}
