package main

import (
	"errors"
	"regexp"
	"strconv"
	"time"
)

// KeepConfig is the part of the environment that is about how long the catalog keeps what is over.
type KeepConfig struct {
	KeepSignups age `env:"HOMEROOM_KEEP_SIGNUPS" envDefault:"30d" help:"how long sign-ups that ended without a school are kept, with their e-mail and school name, and invitations that ended, such as 30d or 2y; forever"`
	KeepEvents  age `env:"HOMEROOM_KEEP_EVENTS" envDefault:"30d" help:"how long events, their deliveries to webhooks, and mails are kept; forever"`
	KeepRuns    age `env:"HOMEROOM_KEEP_RUNS" envDefault:"1y" help:"how long migration runs are kept, with how they went for each tenant; forever"`
	KeepAudit   age `env:"HOMEROOM_KEEP_AUDIT" envDefault:"2y" help:"how long the audit events are kept; forever"`
}

// age is how long something is kept; 0 is for ever.
type age time.Duration

var ageForm = regexp.MustCompile(`^([1-9][0-9]{0,3})([dy])$`)

// UnmarshalText reads "30d", "2y" or "forever". A year has 365 days.
func (a *age) UnmarshalText(text []byte) error {
	if string(text) == "forever" {
		*a = 0
		return nil
	}
	match := ageForm.FindStringSubmatch(string(text))
	if match == nil {
		return errors.New("use a number of days or years, such as 30d or 2y, or forever")
	}
	n, _ := strconv.Atoi(match[1])
	if match[2] == "y" {
		n = min(n, 200) * 365 // a [time.Duration] ends at 292 years
	}
	*a = age(time.Duration(n) * 24 * time.Hour)
	return nil
}
