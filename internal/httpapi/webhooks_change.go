package httpapi

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"homeroom/webhook"
)

func (s *server) registerWebhookChanges() {
	who := withPermission(manageWebhooks)
	register(s, who, huma.Operation{
		OperationID: "addWebhook", Method: http.MethodPost, Path: "/webhooks", Tags: []string{tagWebhooks},
		Metadata: flags(needsCatalogOnly),
		Summary:  "Add a webhook",
		Description: "It receives events from now on, signed as in Standard Webhooks. The answer has its `secret`, which no other answer will contain " +
			"again. Only addresses on the internet are called, by TLS, unless the operator of the service allows others.",
		DefaultStatus: http.StatusCreated,
	}, s.postWebhook)
	register(s, who, huma.Operation{
		OperationID: "changeWebhook", Method: http.MethodPatch, Path: "/webhooks/{id}", Tags: []string{tagWebhooks},
		Metadata: flags(needsCatalogOnly),
		Summary:  "Change a webhook",
		Description: "Members that are left out stay as they are. A disabled webhook receives nothing: its pending deliveries become dead, and events of that time are " +
			"not sent when it is enabled again.",
		Errors: []int{http.StatusNotFound},
	}, s.patchWebhook)
	register(s, who, huma.Operation{
		OperationID: "removeWebhook", Method: http.MethodDelete, Path: "/webhooks/{id}", Tags: []string{tagWebhooks},
		Metadata:    flags(needsCatalogOnly),
		Summary:     "Remove a webhook",
		Description: "With all its deliveries.",
		Errors:      []int{http.StatusNotFound},
	}, s.deleteWebhook)
	register(s, who, huma.Operation{
		OperationID: "rotateWebhook", Method: http.MethodPost, Path: "/webhooks/{id}/rotate", Tags: []string{tagWebhooks},
		Metadata: flags(needsCatalogOnly),
		Summary:  "Give a webhook a new secret",
		Description: "The answer has the new `secret`, which no other answer will contain again. For 24 hours every request has two signatures, one by the new " +
			"secret and one by the previous one, so that the receiver has time to change. The body is empty, or an object without members.",
		Errors: []int{http.StatusNotFound},
	}, s.postRotation)
}

// WebhookWithSecret is a webhook with its secret, which is only returned this once.
type WebhookWithSecret struct {
	Webhook
	Secret string `json:"secret" doc:"The secret that signs its requests. Only this answer contains it." example:"whsec_…"`
}

// newWebhook is the body of POST /webhooks.
type newWebhook struct {
	URL         string   `json:"url" maxLength:"2000" doc:"The URL to post events to. It begins with https, and has neither user nor password."`
	Description string   `json:"description,omitempty" maxLength:"200" doc:"A description for people." example:"Billing"`
	Events      []string `json:"events,omitempty" doc:"The types of events that it receives; all when left out." example:"[\"organization.created\",\"tenant.ready\"]"`

	members
}

// UnmarshalJSON reads the members one by one, as newUser does.
func (n *newWebhook) UnmarshalJSON(text []byte) error {
	return n.read(text, func(o *object) {
		n.URL, n.Description, n.Events = o.text("url"), o.text("description"), o.list("events")
	})
}

type postWebhookInput struct{ Body newWebhook }

type postWebhookOutput struct {
	Location string `header:"Location" doc:"The URL of the webhook."`
	Body     WebhookWithSecret
}

func (s *server) postWebhook(ctx context.Context, in *postWebhookInput) (*postWebhookOutput, error) {
	if err := in.Body.invalid(); err != nil {
		return nil, err
	}
	row, key, err := s.cfg.Webhooks.Add(ctx, actor(ctx), webhook.EndpointParams{URL: in.Body.URL, Description: in.Body.Description, Events: in.Body.Events})
	if err != nil {
		return nil, webhookError(err)
	}
	return &postWebhookOutput{Location: "/webhooks/" + row.ID.String(), Body: WebhookWithSecret{webhookOf(row), key.Reveal()}}, nil
}

// webhookChange is the body of PATCH /webhooks/{id}.
type webhookChange struct {
	URL         *string   `json:"url,omitempty" maxLength:"2000" doc:"The URL to post events to from now on, also repetitions of earlier ones."`
	Description *string   `json:"description,omitempty" maxLength:"200" doc:"A description for people." example:"Billing"`
	Events      *[]string `json:"events,omitempty" doc:"The types of events that it receives; an empty list means all."`
	Enabled     *bool     `json:"enabled,omitempty" doc:"Whether it receives events." example:"true"`

	members
}

// UnmarshalJSON reads the members one by one, as newUser does.
func (c *webhookChange) UnmarshalJSON(text []byte) error {
	return c.read(text, func(o *object) {
		c.URL, c.Description = optional(o, "url", o.text), optional(o, "description", o.text)
		c.Events, c.Enabled = optional(o, "events", o.list), optional(o, "enabled", o.flag)
	})
}

// optional reads a member that may be left out; nil without it.
func optional[T any](o *object, name string, take func(name string) T) *T {
	if _, there := o.members[name]; !there {
		return nil
	}
	value := take(name)
	return &value
}

type patchWebhookInput struct {
	WebhookPath
	Body webhookChange
}

func (s *server) patchWebhook(ctx context.Context, in *patchWebhookInput) (*webhookOutput, error) {
	id, err := in.id()
	if err != nil {
		return nil, err
	}
	if err := in.Body.invalid(); err != nil {
		return nil, err
	}
	row, err := s.cfg.Webhooks.Change(ctx, actor(ctx), id, webhook.Change{
		URL: in.Body.URL, Description: in.Body.Description, Events: in.Body.Events, Enabled: in.Body.Enabled,
	})
	if err != nil {
		return nil, webhookError(err)
	}
	return &webhookOutput{webhookOf(row)}, nil
}

func (s *server) deleteWebhook(ctx context.Context, in *WebhookPath) (*struct{}, error) {
	id, err := in.id()
	if err != nil {
		return nil, err
	}
	return nil, s.cfg.Webhooks.Remove(ctx, actor(ctx), id)
}

type rotationInput struct {
	WebhookPath
	Body *noMembers
}

type rotationOutput struct{ Body WebhookWithSecret }

func (s *server) postRotation(ctx context.Context, in *rotationInput) (*rotationOutput, error) {
	id, err := in.id()
	if err != nil {
		return nil, err
	}
	if err := in.Body.invalid(); err != nil {
		return nil, err
	}
	row, key, err := s.cfg.Webhooks.Rotate(ctx, actor(ctx), id)
	if err != nil {
		return nil, err
	}
	return &rotationOutput{WebhookWithSecret{webhookOf(row), key.Reveal()}}, nil
}
