package flow

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/orchis-run/orchis/internal/expr"
)

// call loads the flow that a job starts.
func (ld *loading) call(d *draft, i int, key string) {
	jd, j := &d.jobs[i], &d.flow.Jobs[i]
	file, text, err := ld.lookUp(d.file, jd)
	if err != nil {
		d.errorAt(jd.calls, "E001", fmt.Sprintf("flow %q: %v", jd.calls.text, err), ld.suggestFlow(jd))
		return
	}
	if at := slices.Index(ld.stack, file); at >= 0 {
		d.errorAt(jd.calls, "E004", "the flow calls itself: "+strings.Join(append(ld.stack[at:len(ld.stack):len(ld.stack)], file), " -> "), "")
		return
	}
	if len(ld.stack) > ld.l.o.MaxNesting {
		d.errorAt(jd.calls, "E003", fmt.Sprintf("flows are nested more than %d deep", ld.l.o.MaxNesting), "")
		return
	}
	up := above{priority: -1, defaults: d.defaults.inside()}
	if d.hasPrio {
		up.priority = j.Priority
	}
	if len(d.defaults.set) > 0 || up.priority >= 0 {
		up.key = key + "/" + j.Name
	}
	j.Flow = ld.load(file, text, up)
	ld.checkGiven(d, i)
}

// lookUp finds the file of a nested flow: a path relative to the calling file
// or to the project, or a name under flows/.
func (ld *loading) lookUp(from string, jd *jobDraft) (string, []byte, error) {
	name := jd.calls.text
	if strings.ContainsRune(name, 0) || strings.Contains(name, `\`) {
		return "", nil, errors.New("this is not a path")
	}
	var tries []string
	isPath := strings.Contains(name, "/") || path.Ext(name) == ".yaml" || path.Ext(name) == ".yml"
	if isPath {
		tries = []string{path.Join(path.Dir(from), name), path.Clean(name)}
	} else {
		tries = []string{"flows/" + name + ".yaml", "flows/" + name + ".yml"}
	}
	if path.IsAbs(name) {
		return "", nil, errors.New("the path must be relative, inside the project")
	}
	inside := false
	for _, p := range tries {
		if !filepath.IsLocal(p) {
			continue
		}
		inside = true
		text, err := ld.l.read(p)
		if err == nil {
			return p, text, nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return "", nil, err
		}
	}
	if !inside {
		return "", nil, errors.New("the path is outside the project")
	}
	return "", nil, fmt.Errorf("there is no %s", strings.Join(slices.Compact(tries), " and no "))
}

func (ld *loading) suggestFlow(jd *jobDraft) string {
	entries, err := fs.ReadDir(ld.l.root.FS(), "flows")
	if err != nil {
		return ""
	}
	var names []string
	for _, e := range entries {
		names = append(names, strings.TrimSuffix(e.Name(), path.Ext(e.Name())))
	}
	word := path.Base(jd.calls.text)
	return didYouMean(strings.TrimSuffix(word, path.Ext(word)), names)
}

// isBad reports whether a file has errors of its own.
func (ld *loading) isBad(file string) bool {
	return slices.ContainsFunc(ld.out, func(x Diagnostic) bool { return x.Severity == SeverityError && x.File == file })
}

// checkGiven checks the inputs that a job passes to a flow, as far as they are
// known before the run.
func (ld *loading) checkGiven(d *draft, i int) {
	j, jd := &d.flow.Jobs[i], &d.jobs[i]
	sub := ld.bundle.Flows[j.Flow]
	if sub == nil || sub.OpenInputs || ld.isBad(sub.Path) {
		return
	}
	given, ok := j.Inputs.Source().(map[string]any)
	if !ok && j.Inputs != nil {
		return
	}
	at := jd.name
	for n, k := range jd.body.keys {
		if k.text == "inputs" {
			at = jd.body.items[n]
		}
	}
	known := make([]string, len(sub.Inputs))
	for n := range sub.Inputs {
		in := &sub.Inputs[n]
		known[n] = in.Name
		v, there := given[in.Name]
		where := at.at([]any{in.Name})
		switch {
		case !there && in.Required && in.Default == nil:
			d.errorAt(jd.name, "E205", fmt.Sprintf("flow %s requires the input %q, which job %q does not set", sub.Path, in.Name, j.Name), "")
		case there && in.Constant:
			d.errorAt(where, "E205", fmt.Sprintf("input %q of flow %s is a constant", in.Name, sub.Path), "")
		case there:
			if t, err := expr.ParseTemplate(v); err == nil {
				if c, fixed := t.Constant(); fixed && c != nil {
					if _, err := in.resolve(c, true, &inputScope{}); err != nil {
						d.errorAt(where, "E205", fmt.Sprintf("input %q of flow %s: %v", in.Name, sub.Path, err), "")
					}
				}
			}
		}
	}
	for n, k := range at.keys {
		if !slices.Contains(known, k.text) && at != jd.name {
			d.errorAt(at.keys[n], "E205", fmt.Sprintf("flow %s has no input %q", sub.Path, k.text), hintOf(k.text, known, "inputs"))
		}
	}
}
