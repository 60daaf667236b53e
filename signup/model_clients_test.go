package signup_test

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/google/uuid"

	"homeroom/catalog"
	"homeroom/internal/modeltest"
	"homeroom/internal/secret"
	"homeroom/signup"
)

// client is somebody who signs up a school, and repeats the request until there is an answer.
type client struct {
	number     int
	request    signup.Request
	ready      *signup.Result
	since      int       // the number of the next task when it was ready
	acceptedID uuid.UUID // the sign-up that was accepted and continues without the client
	err        error     // the last answer
	done       bool      // has a final answer

	invitation uuid.UUID // the invitation that it accepts, if any
}

// newClient adds a client with an e-mail of its own or of another client, and with a key of its own, of another client,
// or without one.
func (m *machine) newClient() {
	if len(m.clients) == 5 {
		m.oldClient()
		return
	}
	n := len(m.clients) + 1
	c := &client{number: n, request: signup.Request{
		Email: fmt.Sprintf("ada%d@lincoln.example", n), Password: password, SchoolName: "Lincoln High",
		IdempotencyKey: fmt.Sprintf("the-key-of-client-%d", n),
	}}
	if n > 1 {
		other := m.clients[m.Next(n-1)].request
		switch m.Next(6) {
		case 0, 1:
			c.request.Email = other.Email
		case 2:
			c.request.IdempotencyKey = other.IdempotencyKey
		}
	}
	switch m.Next(6) {
	case 1:
		c.request.IdempotencyKey = ""
	case 2:
		c.request.Password = weak
	case 3:
		c.request.Async = true
	}
	m.chooseEntryPoint(c)
	m.clients = append(m.clients, c)
	m.begin(c)
}

// chooseEntryPoint lets a client use an existing account or accept an invitation, if the run has those.
func (m *machine) chooseEntryPoint(c *client) {
	switch {
	case m.shape.accounts && m.Next(3) > 0:
		if c.request.Account = m.ownAccount(c.request.Email); c.request.Account != nil {
			m.Seen["clients with an account"]++
		}
	case m.shape.invites && m.Next(4) > 0:
		m.answer(c)
	}
}

// oldClient repeats a request, sometimes with another password, or cancels it.
func (m *machine) oldClient() {
	if len(m.clients) == 0 {
		m.newClient()
		return
	}
	c := m.clients[m.Next(len(m.clients))]
	switch m.Next(8) {
	case 1:
		c.request.Password = weak
	case 2, 3:
		c.request.Password = password
	case 4:
		for _, t := range m.Running(c) {
			m.Tracef("client %d cancels", c.number)
			t.Cancel()
		}
		m.Collect()
		return
	}
	m.begin(c)
}

// begin sends a client's request.
func (m *machine) begin(c *client) {
	p := m.anyProcess()
	if p == nil || len(m.Running(c)) == 2 {
		return
	}
	if c.request.Account != nil && m.account(c.request.Account.ID) == nil {
		c.done = true // the person cannot log in any more
		return
	}
	request := c.request
	if request.Account != nil {
		request.Account, request.Password = m.ownAccount(request.Email), ""
	}
	what := fmt.Sprintf("sign-up of client %d, %s, key %q, password %q,", c.number, request.Email, request.IdempotencyKey, request.Password.Reveal())
	m.Start(&modeltest.Task{What: what, Process: p.Process, For: c, Then: func(t *modeltest.Task) {
		m.answered(c, t, request.Password, t.Value.(signup.Outcome), t.Err)
	}}, func(ctx context.Context) (any, error) { return p.service.Begin(ctx, request) })
}

// answered checks the answer to a client.
func (m *machine) answered(c *client, t *modeltest.Task, sent secret.String, outcome signup.Outcome, err error) {
	c.err, c.done = err, false
	if errors.Is(err, catalog.ErrNoCapacity) {
		m.Seen["answer: no room"]++
	}
	var validation *signup.ValidationError
	switch {
	case err == nil && outcome.Result != nil:
		c.done = true
		m.checkResult(c, outcome.Result)
	case err == nil && outcome.Status == catalog.Provisioning:
		c.acceptedID = outcome.SignupID
	case err == nil:
		if !m.shape.verify && !m.shape.approve {
			m.Failf("client %d was answered %s", c.number, outcome.Status)
		}
		if m.catalog.signup(outcome.SignupID).InvitationID != nil {
			m.Failf("client %d was invited, and waits", c.number)
		}
		m.Seen["answer: "+string(outcome.Status)]++
		c.done = m.faultless && m.shape.verify && m.hasAccount(c.request.Email) // the mail, or its page, says so
	case errors.Is(err, signup.ErrNeedsOperator):
		c.done = true
		if !m.operatorNeeded {
			m.Failf("a sign-up of client %d waits for a person: %v", c.number, err)
		}
	case errors.As(err, &validation):
		m.Failf("a valid request of client %d was refused: %v", c.number, err)
	case isRejected(err) && sent.Reveal() != weak:
		m.Failf("client %d was refused a good password: %v", c.number, err)
	case c.ready != nil && c.request.IdempotencyKey != "" && t.Number >= c.since && !unreachable(err):
		m.Failf("client %d has a school, and got with the same key: %v", c.number, err)
	case m.faultless:
		c.done = m.isFinished(c, t, err)
	}
}

// hasAccount reports whether an e-mail has a user, or an account at the provider that no sign-up has created.
func (m *machine) hasAccount(email string) bool {
	return slices.ContainsFunc(m.accounts, func(l simAccount) bool { return l.email == email && l.our == uuid.Nil }) || slices.ContainsFunc(m.catalog.users, func(u userRow) bool { return u.Email == email && u.state == "active" })
}
