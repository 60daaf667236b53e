package mail_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/google/uuid"

	"homeroom/catalog"
	"homeroom/mail"
	"homeroom/mail/mailtest"
)

// The process of these tests sends one mail in a process of its own, which the mail server kills at a chosen stage.
const (
	childURL    = "HOMEROOM_TEST_MAIL_CATALOG"
	childServer = "HOMEROOM_TEST_MAIL_SERVER"
	childMail   = "HOMEROOM_TEST_MAIL_ID"
)

// child sends the mail in the environment.
func child() {
	ctx := context.Background()
	store, err := catalog.Open(ctx, catalog.Config{URL: os.Getenv(childURL)})
	if err == nil {
		var service *mail.Service
		if service, err = mail.New(config(store, &queue{}, os.Getenv(childServer))); err == nil {
			_, err = service.Send(ctx, uuid.MustParse(os.Getenv(childMail)))
		}
	}
	fmt.Println("the child has not been killed:", err)
}

func TestAProcessThatDiesSendsAtMostOnce(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		dies mailtest.Stage
		// left is the state after the death of the process, last the final state, taken the number of mails then.
		left, last catalog.MailState
		taken      int
	}{
		"before the mail is addressed":  {mailtest.From, catalog.MailQueued, catalog.MailSent, 1},
		"before the text":               {mailtest.To, catalog.MailQueued, catalog.MailSent, 1},
		"in the text":                   {mailtest.Data, catalog.MailSending, catalog.MailUnknown, 0},
		"after the text has been taken": {mailtest.Text, catalog.MailSending, catalog.MailUnknown, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := setup(t)
			id := w.activation()
			process := exec.CommandContext(t.Context(), os.Args[0])
			process.Env = append(os.Environ(), childURL+"="+w.url, childServer+"="+w.server.URL(), childMail+"="+id.String())
			var content strings.Builder
			process.Stdout, process.Stderr = &content, &content
			started, dead := make(chan struct{}), make(chan struct{})
			w.server.Fail(func(stage mailtest.Stage) mailtest.Reply {
				if stage != c.dies {
					return mailtest.Reply{}
				}
				<-started
				if err := process.Process.Kill(); err != nil {
					t.Error(err)
				}
				<-dead
				return mailtest.Reply{HangUp: true, Keep: stage == mailtest.Text}
			})
			if err := process.Start(); err != nil {
				t.Fatal(err)
			}
			close(started)
			_ = process.Wait() // it was killed
			close(dead)
			if content.Len() > 0 {
				t.Fatal(content.String())
			}
			w.wantState(id, c.left)
			w.server.Fail(nil)
			if again := w.send(id); again == 0 {
				t.Error("a mail that another worker may have is not checked again")
			}
			w.wantState(id, c.left)
			w.exec(`update mails set held_until = now() where id = $1`, id)
			w.send(id)
			w.wantState(id, c.last)
			w.send(id)
			w.wantMessages(c.taken)
		})
	}
}
