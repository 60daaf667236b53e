package signup

import (
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

// normaliseText returns a text in the form in which it is stored: Unicode's composed form (NFC), trimmed, with one
// space for each run of white space. It leaves control characters such as a tab in the text; a later check rejects
// them.
func normaliseText(text string) string {
	var tidied strings.Builder
	gap := false
	for _, r := range norm.NFC.String(strings.TrimSpace(text)) {
		if unicode.Is(unicode.Zs, r) {
			gap = true
			continue
		}
		if gap {
			tidied.WriteByte(' ')
			gap = false
		}
		tidied.WriteRune(r)
	}
	return tidied.String()
}

// unprintable reports whether a character may not be part of a name: control characters, line separators, private code
// points, and the explicit directional formatting characters of Unicode's UAX #9.
func unprintable(r rune) bool {
	return unicode.Is(unicode.Cc, r) || unicode.Is(unicode.Co, r) || r == '\u2028' || r == '\u2029' || r == '\ufeff' ||
		(r >= '\u202a' && r <= '\u202e') || (r >= '\u2066' && r <= '\u2069') || (r >= '\ufff9' && r <= '\ufffb') ||
		r >= 0xe0000 && r <= 0xe007f || r&0xfffe == 0xfffe
}

const (
	zeroWidthNonJoiner = '\u200c'
	zeroWidthJoiner    = '\u200d'
)

// hasInvisible reports whether a text has a character that is not visible and has no effect. Such characters are
// Unicode's default ignorable code points, and those that are drawn as a blank. Two kinds are allowed where they change
// how their neighbours look: joiners (Persian, the scripts of India, emoji) between two characters, and a variation
// selector after one.
func hasInvisible(text string) bool {
	runes := []rune(text)
	at := func(i int) rune {
		if i < 0 || i >= len(runes) {
			return 0
		}
		return runes[i]
	}
	for i, r := range runes {
		switch {
		case !ignorable(r) && !blank(r):
		case r == zeroWidthNonJoiner || r == zeroWidthJoiner:
			before := at(i - 1)
			if unicode.Is(unicode.Variation_Selector, before) {
				before = at(i - 2)
			}
			if !joins(before) || !joins(at(i+1)) {
				return true
			}
		case unicode.Is(unicode.Variation_Selector, r):
			keycap := at(i+1) == '\u20e3' && strings.ContainsRune("0123456789#*", at(i-1))
			if !varies(at(i-1)) && !keycap {
				return true
			}
		default:
			return true
		}
	}
	return false
}

// unchanging are scripts whose letters neither join nor have variants. An ignorable character between them has no
// effect.
var unchanging = []*unicode.RangeTable{
	unicode.Latin, unicode.Greek, unicode.Cyrillic, unicode.Armenian, unicode.Georgian, unicode.Hebrew, unicode.Hangul, unicode.Hiragana,
	unicode.Katakana, unicode.Bopomofo,
}

// joins reports whether a joiner beside a character can change how it looks.
func joins(r rune) bool {
	if unicode.Is(unicode.Han, r) || unicode.In(r, unchanging...) {
		return false
	}
	return unicode.In(r, unicode.L, unicode.M, unicode.So, unicode.Sk, unicode.Sm) && !ignorable(r) && !blank(r)
}

// varies reports whether a character may have variants: ideographs, letters of some scripts, signs and emoji.
func varies(r rune) bool {
	return r > unicode.MaxASCII && visible(r) && !unicode.Is(unicode.Nd, r) && !unicode.In(r, unchanging...)
}

// ignorable reports whether a character has Unicode's derived property Default_Ignorable_Code_Point.
func ignorable(r rune) bool {
	if unicode.Is(unicode.Prepended_Concatenation_Mark, r) || r >= '\ufff9' && r <= '\ufffb' || r >= 0x13430 && r <= 0x1343f {
		return false
	}
	return unicode.In(r, unicode.Cf, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector)
}

// blank reports whether a character that is not a space is drawn as one: the empty Braille pattern, and the musical
// notehead without a sign.
func blank(r rune) bool { return r == '\u2800' || r == '\U0001d159' }

// visible reports whether a reader sees a character that stands alone.
func visible(r rune) bool {
	return unicode.In(r, unicode.L, unicode.N, unicode.S, unicode.P) && !ignorable(r) && !blank(r)
}
