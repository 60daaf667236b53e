package doctor

import "fmt"

// compareUndelivered reports events, mails and deliveries that did not arrive. It counts them, and names nobody.
func (e *examination) compareUndelivered() {
	undelivered := e.after.Undelivered
	if n := undelivered.Events; n > 0 {
		detail := count(n, "event") + " waited to be relayed for more than ten minutes"
		e.add(Finding{Code: EventsWaiting, Subject: "events", Detail: detail})
	}
	if undelivered.MailsFailed+undelivered.MailsUnknown > 0 {
		e.add(Finding{Code: MailsUnsent, Subject: "mails", Detail: fmt.Sprintf(
			"within a day %s could not be sent, and for %d it is unknown",
			count(undelivered.MailsFailed, "mail"), undelivered.MailsUnknown)})
	}
	if n := undelivered.Deliveries; n > 0 {
		e.add(Finding{Code: DeliveriesDead, Subject: "webhooks", Detail: fmt.Sprintf(
			"within a day %s could not be delivered to %s", count(n, "event"), count(undelivered.Webhooks, "webhook"))})
	}
}
