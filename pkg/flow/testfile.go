package flow

import (
	"fmt"
	"maps"
	"time"

	"github.com/orchis-run/orchis/internal/expr"
)

// TestFile is a file of test cases for a recipe or flow.
type TestFile struct {
	Path string
	// Definition is the name or path of what is tested.
	Definition string
	Cases      []TestCase
}

// TestCase is a run with faked handlers and a clock of its own.
type TestCase struct {
	Name   string
	Line   int
	Inputs map[string]any
	// Env holds variables that all jobs may read as env.
	Env map[string]string
	// Fakes are the fakes by handler, or by the path of a task, which has
	// precedence. The n-th attempt takes the n-th fake, later ones the last.
	Fakes map[string][]Fake
	// Real lists handlers that are not faked.
	Real   []string
	Events []TestEvent
	Expect Expectation
}

// Fake is what an attempt does.
type Fake struct {
	// Return is the result; its expressions see the attempt's inputs.
	Return *expr.Template
	// Code and Message, when Fails, are the error.
	Fails         bool
	Code, Message string
	Permanent     bool
	// Lost means that the worker dies. Takes is how long the attempt takes.
	Lost  bool
	Takes time.Duration
}

// TestEvent is an action of a user while the run is active.
type TestEvent struct {
	At time.Duration
	// Do is cancel, pause, resume, approve, reject or signal.
	Do                      string
	Job, By, Reason, Signal string
	Data                    any
}

// Expectation is how the run should end. Empty fields expect nothing.
type Expectation struct {
	State string
	// Error is a part of the run's error text.
	Error      string
	Outputs    any
	HasOutputs bool
	// Includes are keys that the outputs must have with these values.
	Includes map[string]any
	Jobs     map[string]JobExpectation
	// Order lists tasks in the order in which they must start.
	Order []string
	// Never lists tasks that must not start.
	Never    []string
	Duration *time.Duration
}

// JobExpectation is how a task should end.
type JobExpectation struct {
	Line       int
	State      string
	Attempts   int
	Reason     string
	Error      string
	Outputs    any
	HasOutputs bool
}

// LoadTests reads a file of test cases of the project.
func (l *Loader) LoadTests(name string) (*TestFile, Diagnostics) {
	var out Diagnostics
	key, text, err := l.find(name)
	if err != nil {
		return nil, append(out, Diagnostic{Severity: SeverityError, Code: "E001", File: name, Message: err.Error()})
	}
	f := &TestFile{Path: key}
	s := &testSource{&source{file: key, out: &out}}
	v := s.parse(text, l.o)
	if v == nil {
		return nil, out.inOrder()
	}
	shared, env := map[string][]Fake{}, map[string]string{}
	var cases *value
	s.read(v, "the tests", map[string]field{
		"flow": into(s.text, &f.Definition), "recipe": into(s.text, &f.Definition), "description": into(s.text, new(string)),
		"env":      into(s.texts, &env),
		"handlers": s.fakes(shared), "cases": func(_, v *value) { cases = v },
	})
	switch {
	case v.kind != mapValue:
	case f.Definition == "":
		s.errorAt(v, "E105", "the file does not say what it tests", "add `recipe:` or `flow:`")
	case cases == nil || cases.kind != listValue:
		s.errorAt(v, "E105", "there are no cases", "add `cases:`, a list")
	default:
		for i, item := range cases.items {
			c := s.testCase(item, i, shared)
			c.Env = env
			f.Cases = append(f.Cases, c)
		}
	}
	diags := out.inOrder()
	if diags.HasErrors() {
		return nil, diags
	}
	return f, diags
}

// testSource reads test cases.
type testSource struct{ *source }

func (s *testSource) testCase(v *value, n int, shared map[string][]Fake) TestCase {
	c := TestCase{Name: fmt.Sprintf("case %d", n+1), Line: v.line, Fakes: map[string][]Fake{}}
	maps.Copy(c.Fakes, shared)
	s.read(v, "the case", map[string]field{
		"name": into(s.text, &c.Name), "real": into(s.words, &c.Real),
		"inputs": func(k, v *value) {
			m, ok := v.plain().(map[string]any)
			if !ok {
				s.wrongType(v, k.text, "a map")
			}
			c.Inputs = m
		},
		"handlers": s.fakes(c.Fakes),
		"at":       s.events(&c.Events),
		"expect":   func(_, v *value) { s.expectation(v, &c.Expect) },
	})
	return c
}

// fakes reads fakes by name: one, or a list of one for each attempt.
func (s *testSource) fakes(to map[string][]Fake) field {
	return func(k, v *value) {
		if v.kind != mapValue {
			s.wrongType(v, k.text, "a map of handlers or tasks")
			return
		}
		for i, name := range v.keys {
			items := []*value{v.items[i]}
			if v.items[i].kind == listValue {
				items = v.items[i].items
			}
			var list []Fake
			for _, item := range items {
				list = append(list, s.fake(item))
			}
			to[name.text] = list
		}
	}
}

func (s *testSource) fake(v *value) Fake {
	var f Fake
	s.read(v, "the fake", map[string]field{
		"return": into(s.template, &f.Return), "takes": into(s.duration, &f.Takes), "lost": into(s.boolean, &f.Lost),
		"fail": func(_, v *value) {
			f.Fails, f.Code, f.Message = true, "error", "failed in the test"
			if v.kind == scalarValue {
				s.text(&f.Code, &value{text: "fail"}, v)
				return
			}
			s.read(v, "fail", map[string]field{"code": into(s.text, &f.Code), "message": into(s.text, &f.Message), "permanent": into(s.boolean, &f.Permanent)})
		},
	})
	return f
}

// events reads a map of times and actions.
func (s *testSource) events(to *[]TestEvent) field {
	return func(k, v *value) {
		if v.kind != mapValue {
			s.wrongType(v, k.text, "a map of times and what is done then")
			return
		}
		for i, when := range v.keys {
			at, err := ParseDelay(when.scalar)
			if err != nil {
				at, err = ParseDelay(when.text)
			}
			if err != nil {
				s.errorAt(when, "E104", fmt.Sprintf("%q is not a time after the start", when.text), "write a duration such as 10m")
				continue
			}
			items := []*value{v.items[i]}
			if v.items[i].kind == listValue {
				items = v.items[i].items
			}
			for _, item := range items {
				known := map[string]field{}
				for _, do := range []string{"cancel", "pause", "resume", "approve", "reject", "signal"} {
					known[do] = func(_, v *value) { *to = append(*to, s.event(at, do, v)) }
				}
				s.read(item, "what is done", known)
			}
		}
	}
}

func (s *testSource) event(at time.Duration, do string, v *value) TestEvent {
	e := TestEvent{At: at, Do: do, By: "test"}
	if v.kind == scalarValue {
		switch text, isText := v.scalar.(string); {
		case isText && do == "signal":
			e.Signal = text
		case isText && (do == "approve" || do == "reject"):
			e.Job = text
		}
		return e
	}
	data := func(_, v *value) { e.Data = v.plain() }
	s.read(v, do, map[string]field{
		"job": into(s.text, &e.Job), "by": into(s.text, &e.By), "reason": into(s.text, &e.Reason), "comment": into(s.text, &e.Reason),
		"name": into(s.text, &e.Signal), "data": data, "inputs": data,
	})
	return e
}

func (s *testSource) expectation(v *value, e *Expectation) {
	s.read(v, "expect", map[string]field{
		"state": into(s.text, &e.State), "error": into(s.text, &e.Error), "order": into(s.words, &e.Order), "never": into(s.words, &e.Never),
		"outputs": func(_, v *value) { e.Outputs, e.HasOutputs = v.plain(), true },
		"outputsInclude": func(k, v *value) {
			m, ok := v.plain().(map[string]any)
			if !ok {
				s.wrongType(v, k.text, "a map")
			}
			e.Includes = m
		},
		"duration": func(k, v *value) { e.Duration = new(time.Duration); s.duration(e.Duration, k, v) },
		"jobs": func(k, v *value) {
			if v.kind != mapValue {
				s.wrongType(v, k.text, "a map of tasks")
				return
			}
			e.Jobs = map[string]JobExpectation{}
			for i, task := range v.keys {
				e.Jobs[task.text] = s.jobExpectation(v.items[i])
			}
		},
	})
}

func (s *testSource) jobExpectation(v *value) JobExpectation {
	j := JobExpectation{Line: v.line}
	if v.kind == scalarValue {
		s.text(&j.State, &value{text: "the state of a task"}, v)
		return j
	}
	s.read(v, "the expectation", map[string]field{
		"state": into(s.text, &j.State), "attempts": func(k, v *value) { s.count(&j.Attempts, 0, k, v) }, "reason": into(s.text, &j.Reason), "error": into(s.text, &j.Error),
		"outputs": func(_, v *value) { j.Outputs, j.HasOutputs = v.plain(), true },
	})
	return j
}
