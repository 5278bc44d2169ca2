package flow

import (
	"fmt"
	"slices"
	"strings"
)

// Lint returns advice about a valid definition: likely mistakes, and settings that
// cause trouble later. A definition silences advice by its code, as in
// `x-lint-ignore: [L003]`.
func (l *Loader) Lint(name string) Diagnostics {
	key, text, err := l.find(name)
	if err != nil {
		return Diagnostics{{Severity: SeverityError, Code: "E001", File: name, Message: err.Error(), Hint: l.suggest(name)}}
	}
	return l.lint(key, text)
}

// LintLocal is Lint for a path relative to the project.
func (l *Loader) LintLocal(key string) Diagnostics {
	text, err := l.read(key)
	if err != nil {
		return Diagnostics{{Severity: SeverityError, Code: "E001", File: key, Message: err.Error()}}
	}
	return l.lint(key, text)
}

func (l *Loader) lint(key string, text []byte) Diagnostics {
	ld := &loading{l: l, bundle: &Bundle{Flows: map[string]*Flow{}}}
	if _, diags := ld.finish(key, text); diags.HasErrors() {
		return diags
	}
	var out Diagnostics
	d := &draft{source: &source{file: key, out: &out}, lang: l.lang, o: l.o, flow: &Flow{Path: key, Jobs: []Job{}}, named: map[string]bool{}, defaults: l.lang.installed(l.o)}
	v := d.parse(text, l.o)
	if v == nil {
		return out
	}
	d.define(v)
	d.check()
	out = nil
	lint := &linter{draft: d, text: string(text)}
	lint.definition(v)
	for i := range d.flow.Jobs {
		lint.job(i)
	}
	ignored := lintIgnored(v)
	return slices.DeleteFunc(out.inOrder(), func(x Diagnostic) bool { return slices.Contains(ignored, x.Code) })
}

func lintIgnored(v *value) []string {
	var codes []string
	for i, k := range v.keys {
		if k.text == "x-lint-ignore" {
			for _, item := range append(v.items[i].items, v.items[i]) {
				codes = append(codes, item.text)
			}
		}
	}
	return codes
}

// Advice lists the codes of Lint with their meanings.
func Advice() map[string]string {
	return map[string]string{
		"L001": "there is no description",
		"L002": "an input or a var is never read",
		"L003": "a dependency is implied by another",
		"L004": "a program or a request has no timeout",
		"L005": "a tolerated failure is never checked",
		"L006": "a value looks like a secret",
		"L007": "a request that changes something is retried",
		"L008": "an approval or a wait has no timeout",
	}
}

// linter collects advice about one definition.
type linter struct {
	*draft
	text string
}

func (l *linter) advise(at *value, code, message, hint string) {
	l.report(SeverityWarning, code, at.line, at.column, len(at.text), message, hint)
}

func (l *linter) definition(v *value) {
	if l.flow.Description == "" {
		l.advise(v, "L001", "there is no description", "describe in one line what it is for; lists show it")
	}
	for _, part := range []string{"inputs", "vars"} {
		for i, k := range v.keys {
			if k.text != part || v.items[i].kind != mapValue {
				continue
			}
			for _, name := range v.items[i].keys {
				if !l.reads(part, name.text) {
					l.advise(name, "L002", fmt.Sprintf("%s.%s is never read", part, name.text), "remove it, or use it")
				}
			}
		}
	}
}

// reads reports whether an expression may read a name; ${inputs} reads all names.
func (l *linter) reads(part, name string) bool {
	for rest := l.text; ; {
		at := strings.Index(rest, part)
		if at < 0 {
			return false
		}
		rest = rest[at+len(part):]
		switch {
		case strings.HasPrefix(rest, "."+name):
			return true
		case strings.HasPrefix(rest, "}") || strings.HasPrefix(rest, "[") || strings.HasPrefix(rest, ")") || strings.HasPrefix(rest, ","):
			return true
		}
	}
}

func (l *linter) job(i int) {
	j, jd := &l.flow.Jobs[i], &l.jobs[i]
	for _, d := range j.Deps {
		if at := jd.deps[d.Job]; at != nil && d.On == OnReady {
			if by := l.implied(j, d.Job); by != "" {
				l.advise(at, "L003", fmt.Sprintf("job %q already waits for %s through %s", j.Name, d.Job, by), "remove it from dependsOn")
			}
		}
	}
	if (j.Handler == "exec" || j.Handler == "http" || j.Handler == "download") && !jd.has("timeout") && !l.defaults.set["timeout"] {
		l.advise(jd.name, "L004", fmt.Sprintf("job %q has no timeout, so the default of 30 minutes applies", j.Name), "add `timeout:`")
	}
	if j.ContinueOnError && !strings.Contains(l.text, "jobs."+j.Name+".") {
		l.advise(jd.name, "L005", fmt.Sprintf("job %q may fail and nothing checks whether it did", j.Name), fmt.Sprintf("read jobs.%s.status where it matters", j.Name))
	}
	if j.Approval != nil && j.Approval.Timeout == 0 || j.WaitFor != nil && j.WaitFor.Timeout == 0 {
		l.advise(jd.name, "L008", fmt.Sprintf("job %q may wait forever", j.Name), "add `timeout:`")
	}
	if in, ok := j.Inputs.Source().(map[string]any); ok && j.Handler == "http" && j.Retries.Max > 0 {
		if m, _ := in["method"].(string); (m == "POST" || m == "PATCH") && !strings.Contains(fmt.Sprint(in["headers"]), "dempotency") {
			l.advise(jd.name, "L007", fmt.Sprintf("job %q retries a %s request", j.Name, m), "send the header Idempotency-Key, or set `retries: 0`")
		}
	}
	l.secretsIn(jd.body)
}

// implied returns the dependency through which the job already waits for name.
func (l *linter) implied(j *Job, name string) string {
	byName := map[string]*Job{}
	for i := range l.flow.Jobs {
		byName[l.flow.Jobs[i].Name] = &l.flow.Jobs[i]
	}
	var reaches func(at *Job, seen map[string]bool) bool
	reaches = func(at *Job, seen map[string]bool) bool {
		for _, d := range at.Deps {
			if d.Job == name || !seen[d.Job] && byName[d.Job] != nil && func() bool { seen[d.Job] = true; return reaches(byName[d.Job], seen) }() {
				return true
			}
		}
		return false
	}
	for _, d := range j.Deps {
		other := byName[d.Job]
		if d.Job != name && other != nil && other.If == nil && reaches(other, map[string]bool{}) {
			return d.Job
		}
	}
	return ""
}

// secretsIn looks for values that look like secrets.
func (l *linter) secretsIn(v *value) {
	for i, item := range v.items {
		if v.kind == mapValue && item.kind == scalarValue {
			key := strings.ToLower(v.keys[i].text)
			for _, word := range []string{"password", "passwd", "secret", "token", "api_key", "apikey", "authorization"} {
				if s, ok := item.scalar.(string); ok && strings.Contains(key, word) && len(s) >= 8 && !strings.Contains(s, "${") {
					l.advise(item, "L006", fmt.Sprintf("the value of %q looks like a secret", v.keys[i].text), "declare it under `secrets:` and write ${secrets.NAME}")
					break
				}
			}
		}
		l.secretsIn(item)
	}
}
