package flow

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/orchis-run/orchis/internal/expr"
	"github.com/orchis-run/orchis/internal/jsontext"
	"github.com/orchis-run/orchis/pkg/run"
)

// InputError says what is wrong with one input.
type InputError struct {
	Name    string `json:"name"`
	Message string `json:"message"`
	Hint    string `json:"hint,omitempty"`
}

// Error names the input and what is wrong.
func (e InputError) Error() string {
	s := fmt.Sprintf("input %q: %s", e.Name, e.Message)
	if e.Hint != "" {
		s += " (" + e.Hint + ")"
	}
	return s
}

// ResolveInputs completes the given inputs with defaults and constants, converts
// them to the declared types and checks them. It converts texts too, since flags
// and redis-cli pass only texts. now is the value of now() in defaults.
func (f *Flow) ResolveInputs(given map[string]any, now time.Time) (map[string]any, []InputError) {
	out := make(map[string]any, len(f.Inputs))
	var problems []InputError
	if f.OpenInputs {
		maps.Copy(out, given)
		return out, nil
	}
	names := make([]string, len(f.Inputs))
	for i := range f.Inputs {
		names[i] = f.Inputs[i].Name
	}
	for _, name := range slices.Sorted(maps.Keys(given)) {
		if !slices.Contains(names, name) {
			problems = append(problems, InputError{Name: name, Message: "it is not an input of " + f.Name, Hint: didYouMean(name, names)})
		}
	}
	scope := &inputScope{inputs: out, now: now}
	for i := range f.Inputs {
		in := &f.Inputs[i]
		v, there := given[in.Name]
		if there && in.Constant {
			problems = append(problems, InputError{Name: in.Name, Message: "it is a constant and cannot be set"})
			continue
		}
		v, err := in.resolve(v, there, scope)
		if err != nil {
			problems = append(problems, InputError{Name: in.Name, Message: err.Error()})
			continue
		}
		out[in.Name] = v
	}
	return out, problems
}

func (in *Input) resolve(v any, there bool, scope *inputScope) (any, error) {
	if !there || v == nil || v == "" && in.Default != nil && !in.Emptiable {
		if in.Default == nil {
			if in.Required {
				return nil, errors.New("it is required and missing")
			}
			return nil, nil
		}
		d, err := in.Default.Eval(scope)
		if err != nil {
			return nil, fmt.Errorf("its default cannot be computed: %w", err)
		}
		if d == nil || in.Constant || d == "" {
			return d, nil
		}
		v = d
	}
	if in.Required && v == "" && in.Type != "string" {
		return nil, errors.New("it is required and empty")
	}
	v, err := in.convert(v)
	if err != nil {
		return nil, err
	}
	return v, in.check(v)
}

// convert turns a value into the declared type.
func (in *Input) convert(v any) (any, error) {
	text, isText := v.(string)
	text = strings.TrimSpace(text)
	wrong := func() (any, error) { return nil, fmt.Errorf("expected %s, got %s", article(in.Type), show(v)) }
	switch in.Type {
	case "string", "file", "secret", "url", "date", "datetime", "duration":
		return in.convertText(v)
	case "number", "integer":
		n := v
		if isText {
			f, err := strconv.ParseFloat(text, 64)
			if err != nil || math.IsNaN(f) || math.IsInf(f, 0) {
				return wrong()
			}
			n = f
			if i, err := strconv.Atoi(text); err == nil {
				n = i
			}
		}
		switch n := n.(type) {
		case int:
			return n, nil
		case float64:
			if n == math.Trunc(n) && math.Abs(n) < 1<<53 && in.Type == "integer" {
				return int(n), nil
			}
			if in.Type == "number" {
				return n, nil
			}
		}
		return wrong()
	case "boolean":
		if b, ok := v.(bool); ok {
			return b, nil
		}
		switch strings.ToLower(strings.TrimSpace(fmt.Sprint(v))) {
		case "true", "1", "yes", "y":
			return true, nil
		case "false", "0", "no", "n":
			return false, nil
		}
		return wrong()
	}
	if isText && in.Type != "json" || isText && looksLikeJSON(text) {
		d, err := expr.Decode([]byte(text))
		if err != nil {
			if in.Type == "list" {
				return in.convertStructure(splitList(text))
			}
			return wrong()
		}
		v = d
	}
	return in.convertStructure(v)
}

func looksLikeJSON(s string) bool { return jsontext.Valid(s) }

func splitList(s string) []any {
	var out []any
	for part := range strings.SplitSeq(s, ",") {
		out = append(out, strings.TrimSpace(part))
	}
	return out
}

func (in *Input) convertStructure(v any) (any, error) {
	list, isList := v.([]any)
	m, isMap := v.(map[string]any)
	switch {
	case in.Type == "list" && !isList, in.Type == "map" && !isMap:
		return nil, fmt.Errorf("expected %s, got %s", article(in.Type), show(v))
	case isList && in.Items != nil:
		out := make([]any, len(list))
		for i, item := range list {
			c, err := in.Items.convert(item)
			if err == nil {
				err = in.Items.check(c)
			}
			if err != nil {
				return nil, fmt.Errorf("element %d: %w", i, err)
			}
			out[i] = c
		}
		return out, nil
	case isMap && len(in.Properties) > 0:
		sub := &Flow{Name: "the map", Inputs: in.Properties}
		out, problems := sub.ResolveInputs(m, time.Time{})
		if len(problems) > 0 {
			return nil, problems[0]
		}
		return out, nil
	}
	return v, nil
}

func (in *Input) convertText(v any) (any, error) {
	text, ok := v.(string)
	if !ok {
		switch v.(type) {
		case int, float64, bool:
			text = show(v)
		default:
			return nil, fmt.Errorf("expected %s, got %s", article(in.Type), show(v))
		}
	}
	var err error
	switch in.Type {
	case "file":
		text, err = fileOf(text)
	case "url":
		u, bad := url.Parse(text)
		if bad != nil || u.Scheme == "" && !strings.HasPrefix(text, "/") && !strings.HasPrefix(text, ".") {
			err = fmt.Errorf("expected a URL, got %s", show(v))
		}
	case "date":
		_, err = time.Parse(time.DateOnly, text)
	case "datetime":
		_, err = time.Parse(time.RFC3339, text)
	case "duration":
		switch n := v.(type) {
		case string:
			var d time.Duration
			if d, err = parseDuration(n); d < 0 {
				err = errors.New("it is negative")
			}
		case bool:
			err = errors.New("it is not a number")
		default:
			if _, err = ParseDelay(n); err == nil {
				return v, nil
			}
		}
	}
	if err != nil {
		want := map[string]string{"date": "a date such as 2026-11-24", "datetime": "a time such as 2026-11-24T05:00:00Z", "duration": "a duration such as 90s or 1h30m", "url": "a URL such as https://example.org/a.mp4", "file": "a path, an artifact or a URL with http or https"}
		return nil, fmt.Errorf("expected %s, got %s", want[in.Type], show(v))
	}
	return text, nil
}

// schemeForm is the form of URL schemes in use. A path may also contain ://.
var schemeForm = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9+]{1,15}$`)

// fileOf reads the value of a file input. A URL becomes a file that is fetched
// later by the worker that needs it; nothing is fetched here.
func fileOf(text string) (string, error) {
	scheme, rest, found := strings.Cut(text, "://")
	if !found || !schemeForm.MatchString(scheme) {
		return text, nil
	}
	switch scheme = strings.ToLower(scheme); scheme {
	case "http", "https":
		if u, err := url.Parse(text); err != nil || u.Host == "" {
			return "", errors.New("it has no host")
		}
		return run.FileAt(scheme + "://" + rest), nil
	case "artifact", "file", "artifact+http", "artifact+https":
		return text, nil
	}
	return "", errors.New("unknown scheme")
}

// check checks a converted value against enum, pattern and bounds.
func (in *Input) check(v any) error {
	if len(in.Enum) > 0 && !slices.ContainsFunc(in.Enum, func(e any) bool { return show(e) == show(v) }) {
		var all []string
		for _, e := range in.Enum {
			all = append(all, show(e))
		}
		return fmt.Errorf("%s is not one of %s", show(v), strings.Join(all, ", "))
	}
	size := -1
	sized := in.MinLen != nil || in.MaxLen != nil
	if text, ok := v.(string); ok && in.Type == "file" {
		if address, ok := run.FileURL(text); ok {
			v = address // as it was given
		}
	}
	switch v := v.(type) {
	case string:
		if sized {
			size = utf8.RuneCountInString(v)
		}
		if in.Pattern != "" {
			if ok, err := regexp.MatchString(in.Pattern, v); err != nil || !ok {
				return fmt.Errorf("%s does not match %s", show(v), in.Pattern)
			}
		}
	case []any:
		size = len(v)
	case int:
		return in.checkNumber(float64(v))
	case float64:
		return in.checkNumber(v)
	}
	if size >= 0 && in.MinLen != nil && size < *in.MinLen {
		return fmt.Errorf("it has the length %d, less than %d", size, *in.MinLen)
	}
	if size >= 0 && in.MaxLen != nil && size > *in.MaxLen {
		return fmt.Errorf("it has the length %d, more than %d", size, *in.MaxLen)
	}
	return nil
}

func (in *Input) checkNumber(f float64) error {
	if in.Min != nil && f < *in.Min {
		return fmt.Errorf("%v is less than the smallest value, %v", f, *in.Min)
	}
	if in.Max != nil && f > *in.Max {
		return fmt.Errorf("%v is more than the largest value, %v", f, *in.Max)
	}
	return nil
}

func article(t string) string {
	if strings.ContainsRune("aeiou", rune(t[0])) {
		return "an " + t
	}
	return "a " + t
}

// show writes a value for a message and cuts long ones.
func show(v any) string {
	raw, err := expr.Encode(v)
	s := string(raw)
	if err != nil {
		s = fmt.Sprint(v)
	}
	if len(s) > 60 {
		s = strings.ToValidUTF8(s[:60], "") + "..."
	}
	return s
}

// parseDuration reads 90s, 1h30m, 2d12h, 2w or 1y; a year has 365 days.
func parseDuration(s string) (time.Duration, error) { return expr.ParseDuration(s) }

// inputScope is what the defaults of inputs can read: the inputs above them.
type inputScope struct {
	inputs map[string]any
	now    time.Time
}

// Root returns the inputs resolved so far.
func (s *inputScope) Root(name string) (any, bool) { return s.inputs, name == "inputs" }

// Job returns none: no job has run yet.
func (s *inputScope) Job(string) (expr.Job, bool) { return expr.Job{}, false }

// Status is false for all functions.
func (s *inputScope) Status(string) bool { return false }

// Now is the time of submission.
func (s *inputScope) Now() time.Time { return s.now }
