package httpapi_test

import (
	"math"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// TestColoursCanBeToldApart measures what WCAG 2.2 asks for in the light and in the dark scheme: 3:1 for what shows where a
// field or a button is (1.4.11), 4.5:1 for text (1.4.3).
func TestColoursCanBeToldApart(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("pages/style.css")
	check(t, err)
	style := string(text)
	light, dark, two := strings.Cut(style, "@media (prefers-color-scheme: dark)")
	truth(t, two, "there is no dark scheme")
	holds(t, light, "color-scheme: light dark")
	field := regexp.MustCompile(`\.person input \{[^}]*border: \d+px solid var\(--(\w+)\)`).FindStringSubmatch(style)
	truth(t, field != nil, "fields have no border")
	for scheme, part := range map[string]string{"light": light, "dark": dark} {
		colours := map[string]float64{}
		block, _, _ := strings.Cut(part, "* {")
		for _, m := range regexp.MustCompile(`--(\w+): #([0-9a-f]{6})`).FindAllStringSubmatch(block, -1) {
			colours[m[1]] = luminance(t, m[2])
		}
		apart := func(least float64, one, other string) {
			t.Helper()
			a, b := colours[one], colours[other]
			truth(t, a > 0 && b > 0, scheme, " lacks ", one, " or ", other)
			ratio := (max(a, b) + 0.05) / (min(a, b) + 0.05)
			truth(t, ratio >= least, scheme, ": ", one, " on ", other, " has ", ratio)
		}
		for _, ground := range []string{"paper", "sunk"} {
			apart(3, field[1], ground)
			apart(3, "bad", ground)
			apart(4.5, "ink", ground)
			apart(4.5, "soft", ground)
		}
		apart(3, "accent", "paper")
		apart(4.5, "paper", "accent") // the text of a button
	}
}

// luminance is the relative luminance of a colour.
func luminance(t *testing.T, hex string) float64 {
	t.Helper()
	var sum float64
	for i, weight := range []float64{0.2126, 0.7152, 0.0722} {
		n, err := strconv.ParseUint(hex[2*i:2*i+2], 16, 8)
		check(t, err)
		c := float64(n) / 255
		if c <= 0.04045 {
			c /= 12.92
		} else {
			c = math.Pow((c+0.055)/1.055, 2.4)
		}
		sum += weight * c
	}
	return sum
}
