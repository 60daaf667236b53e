package main

import (
	"errors"
	"regexp"
	"strconv"
	"time"
)

// KeepConfig holds the retention times of the catalog's rows.
type KeepConfig struct {
	KeepSignups age `env:"HOMEROOM_KEEP_SIGNUPS" envDefault:"30d" help:"retention time of sign-ups that ended without a school, with their e-mail and school name, and of invitations that ended, such as 30d or 2y; forever"`
	KeepEvents  age `env:"HOMEROOM_KEEP_EVENTS" envDefault:"30d" help:"retention time of events, their deliveries to webhooks, and mails; forever"`
	KeepRuns    age `env:"HOMEROOM_KEEP_RUNS" envDefault:"1y" help:"retention time of migration runs, with their outcomes of each tenant; forever"`
	KeepAudit   age `env:"HOMEROOM_KEEP_AUDIT" envDefault:"2y" help:"retention time of audit events; forever"`
}

// age is a retention time; 0 means forever.
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
