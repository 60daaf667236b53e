package httpapi_test

import (
	"strings"
	"testing"
	"time"
)

// box is a mailbox with these mails, numbered from 1.
type box []string

func (b box) Numbers() []int {
	var numbers []int
	for i := range b {
		numbers = append(numbers, len(b)-i)
	}
	return numbers
}

func (b box) Message(n int) ([]byte, time.Time, bool) {
	if n < 1 || n > len(b) {
		return nil, time.Time{}, false
	}
	return []byte(b[n-1]), time.Date(2026, 11, 21, 16, 47, 5, 0, time.UTC), true
}

const mailText = "From: Lincoln <a@lincoln.example>\r\nTo: <ada@lincoln.example>\r\nSubject: =?UTF-8?q?Gr=C3=BC=C3=9Fe_<b>?=\r\n" +
	"Content-Type: multipart/alternative; boundary=x\r\n\r\n" +
	"--x\r\nContent-Type: text/plain; charset=UTF-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n" +
	"Open https://lincoln.example/activate?token=3Da&b=3D1.\r\nAnd <script>x</script> javascript:alert(1)\r\n" +
	"--x\r\nContent-Type: text/html; charset=UTF-8\r\nContent-Transfer-Encoding: base64\r\n\r\n" +
	"PGh0bWw+PGhlYWQ+PC9oZWFkPjxib2R5PjxzY3JpcHQ+eDwvc2NyaXB0PkdyPC9ib2R5PjwvaHRtbD4=\r\n--x--\r\n"

func TestTheMailboxOfTheDevelopmentServer(t *testing.T) {
	t.Parallel()
	w := setup(t, options{noSpare: true, api: func(c *config) { c.pages.Mailbox = box{mailText, "no mail at all", ""} }})
	t.Run("lists mails, the newest first", func(t *testing.T) {
		r := w.call("GET", "/dev/mailbox", "", "Accept: text/html")
		equal(t, 200, r.Status)
		holds(t, r.Body, `<a href="/dev/mailbox/1">Grüße &lt;b&gt;</a>`, "ada@lincoln.example", "16:47:05 UTC", "(not a mail)")
		truth(t, strings.Index(r.Body, "mailbox/3") < strings.Index(r.Body, "mailbox/1"), r.Body)
		mails := w.call("GET", "/dev/mailbox", "").json(t)["mails"].([]any)
		equal(t, 3, len(mails))
		mail := mails[2].(map[string]any)
		equal(t, "Grüße <b>", mail["subject"])
		equal(t, "Open https://lincoln.example/activate?token=a&b=1.\r\nAnd <script>x</script> javascript:alert(1)", mail["text"])
	})
	t.Run("shows a mail", func(t *testing.T) {
		r := w.call("GET", "/dev/mailbox/1", "", "Accept: text/html")
		equal(t, 200, r.Status)
		holds(t, r.Body, `<a href="https://lincoln.example/activate?token=a&amp;b=1">`, "&lt;script&gt;",
			`src="/dev/mailbox/1/html" sandbox="allow-popups allow-popups-to-escape-sandbox"`)
		lacks(t, r.Body, "<script>", `href="javascript`, "allow-scripts", "allow-same-origin")
		lacks(t, r.Header.Get("Content-Security-Policy"), "script-src", "unsafe")
	})
	t.Run("keeps its HTML in a sandbox", func(t *testing.T) {
		r := w.call("GET", "/dev/mailbox/1/html", "")
		holds(t, r.Body, `<head><base target="_blank"></head>`, "<script>x</script>")
		policy := r.Header.Get("Content-Security-Policy")
		holds(t, policy, "sandbox allow-popups", "default-src 'none'", "frame-ancestors 'self'")
		lacks(t, policy, "allow-scripts", "allow-same-origin", "script-src")
	})
	t.Run("has no others", func(t *testing.T) {
		for _, path := range []string{"/dev/mailbox/4", "/dev/mailbox/0", "/dev/mailbox/x", "/dev/mailbox/4/html"} {
			equal(t, "NOT_FOUND", w.call("GET", path, "").json(t)["code"])
		}
	})
}

func TestThereIsNoMailboxElsewhere(t *testing.T) {
	t.Parallel()
	w := setup(t, options{noSpare: true})
	equal(t, 404, w.call("GET", "/dev/mailbox", "").Status)
	equal(t, 404, w.call("GET", "/dev/mailbox/1", "").Status)
}
