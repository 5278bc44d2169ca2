package expr

import (
	"regexp"
	"slices"
	"strings"
)

// SecretText is a text of a value that needs secrets. Expressions never see a
// secret: they say where it belongs, and whoever knows it puts it in.
type SecretText struct {
	// At is the place of the text in the value: keys and indexes.
	At []any `json:"at"`
	// Parts, one after the other, are the text.
	Parts []SecretPart `json:"parts"`
}

// SecretPart is a piece of text, or the name of a secret.
type SecretPart struct {
	Text   string `json:"text,omitempty"`
	Secret string `json:"secret,omitempty"`
}

// Hidden stands in the value where a secret belongs. It is for people: nothing
// is ever looked for by it.
const Hidden = "***"

var secretName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]{0,63}$`)

// IsSecretName reports whether a secret may have a name: letters, digits and
// underscores, at most 64.
func IsSecretName(name string) bool { return secretName.MatchString(name) }

// secretPart is ${secrets.NAME}.
type secretPart struct {
	name string
	e    *expression
}

func (p *secretPart) value(m *machine) (any, error) {
	return textPart{p}.value(m)
}

func (p *secretPart) append(m *machine, b []byte) ([]byte, error) { return appendValue(p, m, b) }

// note remembers that the text being made needs secrets.
func (m *machine) note(parts []SecretPart, e *expression) error {
	if m.secrets == nil {
		return e.fail("secrets cannot be read here", "they are for the inputs and the env of a job")
	}
	*m.secrets = append(*m.secrets, SecretText{At: slices.Clone(m.at), Parts: parts})
	return nil
}

// secretOf returns the secret that an expression is, "" when it reads none. A
// secret can only stand by itself: its value is not known where expressions
// are evaluated.
func secretOf(e *expression) (string, *Error) {
	reads := slices.ContainsFunc(e.refs, func(r Ref) bool { return r.Path[0] == "secrets" })
	if !reads {
		return "", nil
	}
	n, ok := e.tree.(*pathNode)
	if !ok || n.name != "secrets" || len(n.keys) != 1 || len(e.refs) != 1 || len(e.refs[0].Path) != 2 {
		return "", e.fail("a secret can only stand by itself, nothing can be computed with it", "write ${secrets.NAME}; text may stand around it")
	}
	name := e.refs[0].Path[1]
	if !IsSecretName(name) {
		return "", e.fail("no secret can be named "+name, "names have letters, digits and underscores")
	}
	return name, nil
}

// text puts the parts of a text together, with Hidden for secrets.
func (t textPart) text(m *machine) (string, []SecretPart, *expression, error) {
	var b, piece strings.Builder
	var parts []SecretPart
	var first *expression
	for _, p := range t {
		s, err := textOf(p, m)
		if err != nil {
			return "", nil, nil, err
		}
		if secret, ok := p.(*secretPart); ok {
			if piece.Len() > 0 {
				parts = append(parts, SecretPart{Text: piece.String()})
				piece.Reset()
			}
			parts = append(parts, SecretPart{Secret: secret.name})
			first = secret.e
		} else {
			piece.WriteString(s)
		}
		b.WriteString(s)
		if b.Len() > maxText {
			return "", nil, nil, tooLong()
		}
	}
	if piece.Len() > 0 {
		parts = append(parts, SecretPart{Text: piece.String()})
	}
	return b.String(), parts, first, nil
}
