package flow

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/orchis-run/orchis/internal/expr"
)

// field reads the value of one key.
type field func(key, v *value)

// into is the field that one function reads into one place.
func into[V any](read func(to *V, k, v *value), to *V) field {
	return func(k, v *value) { read(to, k, v) }
}

// otherWords maps keys of other tools to ours.
func otherWords() map[string]string {
	return map[string]string{
		"needs": "dependsOn", "depends_on": "dependsOn", "depends": "dependsOn", "depends_one": "dependsOn", "after": "dependsOn",
		"retry": "retries", "max_retries": "retries", "input": "inputs", "with": "inputs", "params": "inputs", "args": "inputs",
		"ouputs": "outputs", "output": "outputs", "when": "if", "condition": "if", "uses": "job", "handler": "job", "task": "job",
		"continue-on-error": "continueOnError", "continue_on_error": "continueOnError", "matrix": "iterate", "foreach": "iterate",
		"steps": "jobs", "tasks": "jobs", "workflow_path": "workflowPath", "variables": "vars", "environment": "env",
	}
}

// read walks a map whose keys are known: each is read once, any other is an
// error.
func (s *source) read(v *value, what string, known map[string]field) {
	if !s.isMap(v, what) {
		return
	}
	for i, k := range v.keys {
		if f, ok := known[k.text]; ok {
			f(k, v.items[i])
			continue
		}
		if s.full() {
			return
		}
		s.unknownKey(k, what, slices.Collect(maps.Keys(known)))
	}
}

// isMap reports whether a value is a map; another kind of value is an error.
func (s *source) isMap(v *value, what string) bool {
	if v.kind != mapValue {
		s.errorAt(v, "E104", fmt.Sprintf("%s must be a map, not %s", what, v.describe()), "")
	}
	return v.kind == mapValue
}

func (s *source) unknownKey(k *value, what string, known []string) {
	slices.Sort(known)
	var hint string
	if word, ok := otherWords()[k.text]; ok && slices.Contains(known, word) {
		hint = fmt.Sprintf("did you mean %q?", word)
	} else if hint = didYouMean(k.text, known); hint == "" {
		hint = "known are " + strings.Join(known, ", ")
	}
	s.errorAt(k, "E102", fmt.Sprintf("unknown key %q in %s", k.text, what), hint)
}

func (s *source) wrongType(v *value, key, want string) {
	got := v.describe()
	if v.kind == scalarValue && v.scalar != nil {
		got = strconv.Quote(v.text)
	}
	s.errorAt(v, "E104", fmt.Sprintf("%s must be %s, not %s", key, want, got), "")
}

// choice reads one of a few words and reports whether it is one.
func (s *source) choice(to *string, choices []string, k, v *value) bool {
	if v.kind == scalarValue && slices.Contains(choices, v.text) {
		*to = v.text
		return true
	}
	last := len(choices) - 1
	s.wrongType(v, k.text, strings.Join(choices[:last], ", ")+" or "+choices[last])
	return false
}

func (s *source) text(to *string, k, v *value) {
	t, ok := v.scalar.(string)
	if v.kind != scalarValue || !ok {
		s.wrongType(v, k.text, "a text")
		return
	}
	*to = t
}

func (s *source) boolean(to *bool, k, v *value) {
	b, ok := v.scalar.(bool)
	if v.kind != scalarValue || !ok {
		s.wrongType(v, k.text, "true or false")
		return
	}
	*to = b
}

func (s *source) count(to *int, least int, k, v *value) {
	n, ok := v.scalar.(int)
	if v.kind != scalarValue || !ok || n < least {
		s.wrongType(v, k.text, fmt.Sprintf("a whole number of at least %d", least))
		return
	}
	*to = n
}

func (s *source) real(to *float64, least, most float64, k, v *value) {
	var f float64
	switch n := v.scalar.(type) {
	case int:
		f = float64(n)
	case float64:
		f = n
	default:
		f = least - 1
	}
	if v.kind != scalarValue || f < least || f > most {
		s.wrongType(v, k.text, fmt.Sprintf("a number from %v to %v", least, most))
		return
	}
	*to = f
}

func (s *source) number(to **float64, k, v *value) {
	f := new(float64)
	switch n := v.scalar.(type) {
	case int:
		*f = float64(n)
	case float64:
		*f = n
	default:
		s.wrongType(v, k.text, "a number")
		return
	}
	*to = f
}

func (s *source) length(to **int, k, v *value) {
	n := new(int)
	s.count(n, 0, k, v)
	*to = n
}

// duration reads 90s, 1h30m, 2d, or a number of milliseconds.
func (s *source) duration(to *time.Duration, k, v *value) {
	switch n := v.scalar.(type) {
	case int:
		if v.kind == scalarValue && n >= 0 && n < 1<<42 {
			*to = time.Duration(n) * time.Millisecond
			return
		}
	case string:
		if d, err := parseDuration(n); err == nil && d >= 0 && v.kind == scalarValue {
			*to = d
			return
		}
	}
	s.wrongType(v, k.text, "a duration such as 90s or 1h30m, or a number of milliseconds")
}

func (s *source) priority(to *int, k, v *value) {
	switch n := v.scalar.(type) {
	case int:
		if n >= 0 && n <= 9 {
			*to = n
			return
		}
	case string:
		if p, ok := map[string]int{"low": PriorityLow, "normal": PriorityNormal, "high": PriorityHigh}[n]; ok {
			*to = p
			return
		}
	}
	s.wrongType(v, k.text, "low, normal, high, or a number from 0 to 9")
}

func (s *source) texts(to *map[string]string, k, v *value) {
	if v.kind != mapValue {
		s.wrongType(v, k.text, "a map of texts")
		return
	}
	*to = make(map[string]string, len(v.keys))
	for i, key := range v.keys {
		item := v.items[i]
		if item.kind != scalarValue || item.scalar == nil {
			s.wrongType(item, k.text+"."+key.text, "a text")
			continue
		}
		(*to)[key.text] = item.text
	}
}

func (s *source) words(to *[]string, k, v *value) {
	if v.kind != listValue {
		s.wrongType(v, k.text, "a list of texts")
		return
	}
	for _, item := range v.items {
		if item.kind != scalarValue || item.scalar == nil {
			s.wrongType(item, "each entry of "+k.text, "a text")
			continue
		}
		*to = append(*to, item.text)
	}
}

// names reads a text or a list of texts.
func (s *source) names(to *[]string, k, v *value) {
	if text, ok := v.scalar.(string); ok && v.kind == scalarValue {
		*to = []string{text}
		return
	}
	s.words(to, k, v)
}

// lifetime reads a duration for which something is kept.
func (s *source) lifetime(to *time.Duration, k, v *value) {
	before := len(*s.out)
	s.duration(to, k, v)
	if *to < time.Minute && len(*s.out) == before {
		s.errorAt(v, "E104", fmt.Sprintf("%s must be at least 1m", k.text), "")
	}
}

// queue reads the name of a queue.
func (s *source) queue(to *string, k, v *value) {
	before := len(*s.out)
	s.text(to, k, v)
	if len(*s.out) == before && (!nameForm.MatchString(*to) || len(*to) > 64) {
		s.errorAt(v, "E106", fmt.Sprintf("%.80q is not a valid name for a queue", *to), "use letters, digits, - and _, begin with a letter or _, at most 64 characters")
	}
}

// template reads any value; the texts in it may hold ${...}. A null is as good
// as nothing: the stored form knows no difference.
func (s *source) template(to **expr.Template, _, v *value) {
	t, err := expr.ParseTemplate(v.plain())
	if err != nil {
		s.expressionErrors(v, err)
		return
	}
	if c, constant := t.Constant(); constant && c == nil {
		return
	}
	*to = t
}

func (s *source) condition(to **expr.Condition, k, v *value) {
	switch v.scalar.(type) {
	case string, bool:
	default:
		s.wrongType(v, k.text, "an expression")
		return
	}
	c, err := expr.ParseCondition(v.text)
	if err != nil {
		s.expressionErrors(v, err)
		return
	}
	*to = c
}

// expressionErrors reports errors at their place inside a value.
func (s *source) expressionErrors(v *value, err error) {
	var many interface{ Unwrap() []error }
	if errors.As(err, &many) {
		for _, one := range many.Unwrap() {
			s.expressionErrors(v, one)
		}
		return
	}
	var e *expr.Error
	if !errors.As(err, &e) {
		s.errorAt(v, "E203", err.Error(), "")
		return
	}
	leaf := v.at(e.At)
	line, column := leaf.place(e.Offset)
	s.report(SeverityError, "E203", line, column, e.Len, e.Message, e.Hint)
}

// place returns the place in the file of an offset inside a scalar. For a text of
// several lines it is the place of its beginning.
func (v *value) place(offset int) (line, column int) {
	if strings.Contains(v.text, "\n") || v.kind != scalarValue {
		return v.line, v.column
	}
	if v.quoted {
		offset++
	}
	return v.line, v.column + offset
}

// handlerForm is the form of the names of handlers, which may be names of files.
var handlerForm = regexp.MustCompile(`^[\p{L}\p{N}_][\p{L}\p{N}_.:-]{0,127}$`)

var nameForm = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_-]*$`)

// reserved lists the words that cannot name jobs, because they begin paths or are
// values.
func reserved() []string { return append(expr.Roots(), "true", "false", "null") }

// name checks the name of a job, an input or a var.
func (s *source) name(k *value, what string) bool {
	switch {
	case !nameForm.MatchString(k.text):
		s.errorAt(k, "E106", fmt.Sprintf("%q is not a valid name for %s", k.text, what), "use letters, digits, - and _, and begin with a letter or _")
	case len(k.text) > 64:
		s.errorAt(k, "E106", fmt.Sprintf("the name of %s has %d characters, more than 64", what, len(k.text)), "")
	case what == "a job" && slices.Contains(reserved(), k.text):
		s.errorAt(k, "E106", fmt.Sprintf("%q is a reserved word and cannot name a job", k.text), "")
	default:
		return true
	}
	return false
}
