package secret

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/orchis-run/orchis/internal/expr"
)

// Short secrets cannot be hidden: their letters stand everywhere.
const Short = 4

// CutAt is the length from which on a text may have been cut off by a limit,
// so that its end may be the beginning of a secret.
const CutAt = 16<<10 - 8

// Mask hides values in texts. It never changes and may be used by many at the
// same time; a nil Mask hides nothing.
type Mask struct {
	forms    []string // longest first
	replacer *strings.Replacer
}

// NewMask hides values, and forms of them: in base64, in hex, in URLs, in JSON
// and between quotes; of a value of several lines also each line. Values
// shorter than Short bytes are left out.
func NewMask(values ...string) *Mask {
	set := map[string]bool{}
	for _, v := range values {
		if len(v) < Short {
			continue
		}
		addForms(set, v)
		for _, line := range strings.FieldsFunc(v, func(r rune) bool { return r == '\n' || r == '\r' }) {
			if line = strings.TrimSpace(line); line != v && len(line) >= 2*Short {
				addForms(set, line)
			}
		}
	}
	if len(set) == 0 {
		return nil
	}
	m := &Mask{}
	for form := range set {
		m.forms = append(m.forms, form)
	}
	slices.SortFunc(m.forms, func(a, b string) int {
		if len(a) != len(b) {
			return len(b) - len(a)
		}
		return strings.Compare(a, b)
	})
	var pairs []string
	for _, form := range m.forms {
		pairs = append(pairs, form, expr.Hidden)
	}
	m.replacer = strings.NewReplacer(pairs...)
	return m
}

func addForms(set map[string]bool, v string) {
	add := func(forms ...string) {
		for _, f := range forms {
			if len(f) >= Short {
				set[f] = true
			}
		}
	}
	add(v, strings.ToValidUTF8(v, "\ufffd"))
	for _, e := range []*base64.Encoding{base64.StdEncoding, base64.URLEncoding} {
		add(e.EncodeToString([]byte(v)), e.WithPadding(base64.NoPadding).EncodeToString([]byte(v)))
		add(inner(e, v)...)
	}
	add(hex.EncodeToString([]byte(v)), strings.ToUpper(hex.EncodeToString([]byte(v))))
	for _, escaped := range []string{url.QueryEscape(v), url.PathEscape(v), url.UserPassword("", v).String()[1:]} {
		add(escaped, lowerPercent(escaped))
	}
	add(strings.Trim(strconv.Quote(v), `"`), strings.Trim(strconv.QuoteToASCII(v), `"`))
	if raw, err := json.Marshal(v); err == nil {
		add(string(raw[1 : len(raw)-1]))
	}
	if raw, err := encode(v); err == nil {
		add(string(raw[1 : len(raw)-1]))
	}
}

// inner returns what base64 makes of a value wherever it stands in a longer
// text, as in user:password. The first and last letters depend on what is
// around it and are left out.
func inner(e *base64.Encoding, v string) []string {
	var out []string
	for before := range 3 {
		n := before + len(v)
		text := e.WithPadding(base64.NoPadding).EncodeToString(append(make([]byte, before), v...))
		from, to := (before*8+5)/6, n*8/6
		if to-from >= 2*Short {
			out = append(out, text[from:to])
		}
	}
	return out
}

// lowerPercent writes %2F as %2f.
func lowerPercent(s string) string {
	b := []byte(s)
	for i := 0; i+2 < len(b); i++ {
		if b[i] == '%' {
			copy(b[i+1:i+3], bytes.ToLower(b[i+1:i+3]))
		}
	}
	return string(b)
}

// Text hides the values in a text. In a text that is so long that it may have
// been cut off, the beginning of a value at its end is hidden too.
func (m *Mask) Text(s string) string {
	if m == nil || s == "" {
		return s
	}
	if len(s) >= CutAt {
		if n := m.Begun([]byte(s)); n >= Short {
			return m.replacer.Replace(s[:len(s)-n]) + expr.Hidden
		}
	}
	return m.replacer.Replace(s)
}

// Begun returns how many bytes at the end of a text are the beginning, but not
// the whole, of something to be hidden. A text must not be cut there.
func (m *Mask) Begun(text []byte) int {
	if m == nil {
		return 0
	}
	most := 0
	for _, form := range m.forms {
		for n := min(len(form)-1, len(text)); n > most; n-- {
			if form[0] == text[len(text)-n] && bytes.HasSuffix(text, []byte(form[:n])) {
				most = n
				break
			}
		}
	}
	return most
}

// JSON hides the values in the texts, names and numbers of a JSON value.
func (m *Mask) JSON(raw json.RawMessage) (json.RawMessage, error) {
	if m == nil || len(raw) == 0 {
		return raw, nil
	}
	v, err := decode(raw)
	if err != nil {
		return nil, err
	}
	return encode(m.value(v))
}

func (m *Mask) value(v any) any {
	switch v := v.(type) {
	case string:
		return m.Text(v)
	case json.Number:
		if hidden := m.Text(v.String()); hidden != v.String() {
			return hidden
		}
	case []any:
		for i := range v {
			v[i] = m.value(v[i])
		}
	case map[string]any:
		out := make(map[string]any, len(v))
		for name, item := range v {
			out[m.Text(name)] = m.value(item)
		}
		return out
	}
	return v
}
