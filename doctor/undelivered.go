package doctor

import "fmt"

// compareUndelivered tells of what people and programs outside were to be told, and have not been. It counts, and names nobody.
func (e *examination) compareUndelivered() {
	undelivered := e.after.Undelivered
	if n := undelivered.Events; n > 0 {
		detail := count(n, "event") + " waited to be handed on for more than ten minutes"
		e.add(Finding{Code: EventsWaiting, Subject: "events", Detail: detail})
	}
	if undelivered.MailsFailed+undelivered.MailsUnknown > 0 {
		e.add(Finding{Code: MailsUnsent, Subject: "mails", Detail: fmt.Sprintf(
			"within a day %s could not be sent, and of %d nobody knows whether it was",
			count(undelivered.MailsFailed, "mail"), undelivered.MailsUnknown)})
	}
	if n := undelivered.Deliveries; n > 0 {
		e.add(Finding{Code: DeliveriesDead, Subject: "webhooks", Detail: fmt.Sprintf(
			"within a day %s could not be delivered to %s", count(n, "event"), count(undelivered.Webhooks, "webhook"))})
	}
}
