package web

import (
	"homeroom/messages"
	"homeroom/signup"
)

// scriptData is what the script of the form knows. Its types are in ui/src/registration/page.ts.
type scriptData struct {
	Fields []scriptField     `json:"fields"`
	Texts  map[string]string `json:"texts"`
	Steps  map[string]string `json:"steps"`
	Links  []scriptLink      `json:"links"`
	Login  *scriptLink       `json:"login"`
}

type scriptField struct {
	Name         string `json:"name"`
	Label        string `json:"label"`
	Type         string `json:"type"`
	Autocomplete string `json:"autocomplete"`
	Required     bool   `json:"required"`
	Hint         string `json:"hint"`
}

type scriptLink struct {
	URL  string `json:"url"`
	Text string `json:"text"`
}

// scriptTexts are the texts that the script shows, by the names that it knows them by.
var scriptTexts = map[string]string{
	"title": "page.registration.title", "button": "page.registration.button", "correct": "page.registration.correct",
	"mismatch": "page.registration.mismatch", "password_hint": "page.registration.password_hint", "required": "page.registration.required",
	"slug": "page.registration.slug", "slug_taken": "page.registration.slug_taken", "show": "page.registration.show",
	"busy": "page.registration.busy", "retrying": "page.registration.retrying", "unreachable": "page.registration.unreachable",
	"operator": "page.registration.operator", "exists": "page.hosted.exists",
	"making_title": "page.hosted.making_title", "making": "page.hosted.making", "ready_title": "page.hosted.ready_title",
	"confirm_title": "page.hosted.confirm_title", "confirm": "page.hosted.confirm", "resend": "page.hosted.resend",
	"approval_title": "page.waiting.title", "approval": "page.waiting.text",
	"failed_title": "page.hosted.failed_title", "failed": "page.hosted.failed", "begin": "page.hosted.begin",
}

// registrationData is the page as its script needs it. The script fills the school's name and its slug in.
func registrationData(localizer messages.Localizer, page personPage, login *personLink) scriptData {
	data := scriptData{Fields: []scriptField{}, Texts: map[string]string{}, Steps: map[string]string{}, Links: []scriptLink{}}
	for _, f := range page.Form.Fields {
		if f.Type != "hidden" {
			data.Fields = append(data.Fields, scriptField{f.Name, f.Label, f.Type, f.Autocomplete, f.Required, f.Hint})
		}
	}
	for name, id := range scriptTexts {
		data.Texts[name] = localizer.Text(id, map[string]any{"SchoolName": "{school}", "Slug": "{slug}"})
	}
	ready := "page.hosted.ready"
	if login == nil {
		ready += "_elsewhere"
	} else {
		data.Login = &scriptLink{login.URL, login.Text}
	}
	data.Texts["ready"] = localizer.Text(ready, nil)
	for _, name := range signup.StepNames {
		data.Steps[string(name)] = localizer.Text("page.step."+string(name), nil)
	}
	for _, link := range page.Links {
		data.Links = append(data.Links, scriptLink(link))
	}
	return data
}
