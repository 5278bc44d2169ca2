// Package secret finds the secrets that a ticket mentions, puts them where they
// belong, and hides them in what is written afterwards. Only workers use it.
package secret

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/orchis-run/orchis/internal/expr"
)

// Variable begins the names of environment variables that hold secrets.
const Variable = "ORCHIS_SECRET_"

const maxSecret = 64 << 10 // bytes

// From returns a function that finds the value of a secret: in the file of its
// name in dir, else in the environment variable ORCHIS_SECRET_<NAME>. One line
// break at the end of a file is left out. Without dir there are no files. Its
// errors name the secret and never its value.
func From(dir string) func(name string) (string, error) {
	return func(name string) (string, error) {
		if !expr.IsSecretName(name) {
			return "", fmt.Errorf("%q is no name for a secret", name)
		}
		value, places := os.Getenv(Variable+name), "the environment variable "+Variable+name
		if dir != "" {
			text, err := read(filepath.Join(dir, name))
			switch {
			case err == nil:
				value, places = text, "the file "+filepath.Join(dir, name)
			case errors.Is(err, fs.ErrNotExist):
				places = "the file " + filepath.Join(dir, name) + " and " + places
			default:
				return "", fmt.Errorf("the secret %s cannot be read: %w", name, err)
			}
		}
		if value == "" {
			return "", fmt.Errorf("the worker has no secret %s: %s must not be missing or empty", name, places)
		}
		return value, nil
	}
}

func read(path string) (string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return "", err
	}
	if !info.Mode().IsRegular() {
		return "", fmt.Errorf("%s is not a regular file", path)
	}
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer func() { _ = f.Close() }()
	raw, err := io.ReadAll(io.LimitReader(f, maxSecret+1))
	if err != nil {
		return "", err
	}
	if len(raw) > maxSecret {
		return "", fmt.Errorf("%s has more than %d bytes", path, maxSecret)
	}
	return strings.TrimSuffix(strings.TrimSuffix(string(raw), "\n"), "\r"), nil
}

// Ticket is what a ticket says of secrets: its inputs (a JSON value), its env
// (a JSON object of texts) and Texts, a JSON list of expr.SecretText whose
// places begin with inputs or env.
type Ticket struct {
	Inputs, Env, Texts json.RawMessage
}

// Fill puts the secrets into inputs and env and returns their values by name.
// Nothing is looked for in the inputs themselves: a text that looks like a
// secret stays as it is.
func (t *Ticket) Fill(find func(name string) (string, error)) (map[string]string, error) {
	if len(t.Texts) == 0 {
		return nil, nil
	}
	var texts []expr.SecretText
	if err := json.Unmarshal(t.Texts, &texts); err != nil {
		return nil, fmt.Errorf("read which secrets the ticket needs: %w", err)
	}
	values := map[string]string{}
	var missing []error
	for _, text := range texts {
		for _, part := range text.Parts {
			if _, known := values[part.Secret]; known || part.Secret == "" {
				continue
			}
			v, err := find(part.Secret)
			if err != nil {
				missing = append(missing, err)
			}
			values[part.Secret] = v
		}
	}
	if err := errors.Join(missing...); err != nil {
		return nil, err
	}
	return values, t.put(texts, values)
}

// put writes the texts into the values.
func (t *Ticket) put(texts []expr.SecretText, values map[string]string) error {
	both := map[string]any{}
	for name, raw := range map[string]json.RawMessage{"inputs": t.Inputs, "env": t.Env} {
		v, err := decode(raw)
		if err != nil {
			return fmt.Errorf("read the ticket's %s: %w", name, err)
		}
		both[name] = v
	}
	for _, text := range texts {
		var b strings.Builder
		for _, part := range text.Parts {
			if part.Secret != "" {
				b.WriteString(values[part.Secret])
				continue
			}
			b.WriteString(part.Text)
		}
		if err := set(both, text.At, b.String()); err != nil {
			return err
		}
	}
	var err error
	if t.Inputs, err = encode(both["inputs"]); err != nil {
		return err
	}
	if len(t.Env) > 0 {
		t.Env, err = encode(both["env"])
	}
	return err
}

func decode(raw json.RawMessage) (any, error) {
	if len(raw) == 0 {
		return map[string]any{}, nil
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	var v any
	err := d.Decode(&v)
	return v, err
}

func encode(v any) (json.RawMessage, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, fmt.Errorf("write the value: %w", err)
	}
	return bytes.TrimSpace(b.Bytes()), nil
}

// set replaces the text at a place, which must be there.
func set(v any, at []any, text string) error {
	for i, key := range at {
		last := i == len(at)-1
		switch in := v.(type) {
		case map[string]any:
			name, ok := key.(string)
			if _, there := in[name]; !ok || !there {
				return noPlace(at)
			}
			if v = in[name]; last {
				in[name] = text
			}
		case []any:
			n, ok := key.(float64)
			if !ok || n < 0 || int(n) >= len(in) {
				return noPlace(at)
			}
			if v = in[int(n)]; last {
				in[int(n)] = text
			}
		default:
			return noPlace(at)
		}
	}
	if _, ok := v.(string); !ok {
		return noPlace(at)
	}
	return nil
}

func noPlace(at []any) error { return fmt.Errorf("the ticket has no text at %v for a secret", at) }
