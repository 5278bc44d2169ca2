package flow

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// withKey returns a loader of a project whose language has one more key of
// jobs: fake, a text between queueTimeout and heartbeatTimeout that has an
// effect with handlers only and that jobs inherit. Its field is the description.
func withKey(t *testing.T, root string) *Loader {
	t.Helper()
	l := loader(t, Options{Root: root})
	twin := newLanguage()
	rows := jobKeys(twin)
	at := slices.IndexFunc(rows, func(r jobKey) bool { return r.name == "queueTimeout" })
	twin.setJobKeys(slices.Insert(rows, at+1, jobKey{
		name: "fake", doc: "A key of the test.", on: handlerJob, inherits: handlerJob, kind: asText(func(j *parsedJob) *string { return &j.Description }),
	}))
	l.lang = twin
	return l
}

// TestKeys_OneRowIsEnough: one more row in the table of a job's keys is known
// to the parser, the schema, the formatter, the defaults, nested flows, the
// refusals and the check of the documentation.
func TestKeys_OneRowIsEnough(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	if err := os.Mkdir(filepath.Join(root, "flows"), 0o750); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(root, "flows", "inner.yaml"), []byte("jobs: {own: {job: debug, fake: 3s}, none: {job: debug}}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	l := withKey(t, root)
	b, diags := l.LoadText("x.yaml", []byte("defaults: {fake: 7s}\njobs: {own: {job: debug, fake: 5s}, none: {job: debug}, deep: {flow: inner}}\n"))
	if err := diags.Err(); err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for key, f := range b.Flows {
		for i := range f.Jobs {
			got[key+" "+f.Jobs[i].Name] = f.Jobs[i].Description
		}
	}
	want := map[string]string{
		"x.yaml own": "5s", "x.yaml none": "7s", "x.yaml deep": "",
		"flows/inner.yaml#x.yaml/deep own": "3s", "flows/inner.yaml#x.yaml/deep none": "7s",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("parser and defaults (-want +got):\n%s", diff)
	}
	const swapped = "jobs:\n  a:\n    job: debug\n    heartbeatTimeout: 1m\n    fake: 2m\n    queueTimeout: 3m\n"
	const tidied = "jobs:\n  a:\n    job: debug\n    queueTimeout: 3m\n    fake: 2m\n    heartbeatTimeout: 1m\n"
	if diff := cmp.Diff(tidied, formatted(t, l, "x.yaml", []byte(swapped))); diff != "" {
		t.Errorf("formatter (-want +got):\n%s", diff)
	}
	defs := l.lang.schemaDefs()
	for part, there := range map[string]bool{"job": true, "defaults": true, "step": false} {
		s, _ := defs[part].(schema)["properties"].(schema)["fake"].(schema)
		if there != (s["description"] == "A key of the test.") {
			t.Errorf("schema of %s has %v", part, s)
		}
	}
	if missing := undocumented(t, l.lang); !slices.Equal(missing, []string{"job.fake", "defaults.fake"}) {
		t.Errorf("docs/recipes.md lacks %v", missing)
	}
}

// TestKeys_OneRowIsRefused: a key is refused in jobs of another form, without
// the key it goes with, with a wrong value, and where it is not known.
func TestKeys_OneRowIsRefused(t *testing.T) {
	t.Parallel()
	l := withKey(t, "testdata/project")
	at := slices.IndexFunc(l.lang.jobs, func(r jobKey) bool { return r.name == "fake" })
	l.lang.jobs[at].with = "iterate"
	for text, code := range map[string]string{
		"jobs: {a: {approval: {message: ok}, fake: 1s}}":            "E105",
		"jobs: {a: {waitFor: {signal: s}, fake: 1s}}":               "E105",
		"jobs: {a: {delay: 1m, fake: 1s}}":                          "E105",
		"jobs: {a: {flow: cut, iterate: [1], fake: 1s}}":            "E105",
		"jobs: {a: {job: debug, fake: 1s}}":                         "E105", // without iterate
		"jobs: {a: {job: debug, iterate: [1], fake: [x]}}":          "E104",
		"flows: {a: {flow: cut, fake: 1s}}":                         "E102",
		"jobs: {a: {job: debug, iterate: [1], retries: {fake: 1}}}": "E102",
	} {
		_, diags := l.LoadText("x.yaml", []byte(text+"\n"))
		if !slices.ContainsFunc(diags, func(d Diagnostic) bool { return d.Code == code && strings.Contains(d.Message, "fake") }) {
			t.Errorf("%s: want %s, got %v", text, code, diags)
		}
	}
	if _, diags := l.LoadText("x.yaml", []byte("jobs: {a: {job: debug, iterate: [1], fake: 1s}}\n")); diags.HasErrors() {
		t.Error(diags)
	}
}

// TestKeys_TablesAreWhole: every row says where its key has an effect, keys
// that jobs inherit can be copied, and no key is a word of other tools for
// another key.
func TestKeys_TablesAreWhole(t *testing.T) {
	t.Parallel()
	l := newLanguage()
	for _, row := range l.jobs {
		if row.on&anyJob == 0 || row.inherits != 0 && row.kind.copy == nil || row.inherits&^row.on&^anyJob != 0 {
			t.Errorf("%s: on %b, inherits %b", row.name, row.on, row.inherits)
		}
	}
	for word := range otherWords() {
		for _, p := range l.parts() {
			if slices.ContainsFunc(p.keys, func(k keyInfo) bool { return k.name == word && p.name == "job" }) {
				t.Errorf("%q is a key of %s and a wrong word for another", word, p.name)
			}
		}
	}
}

// TestKeys_EveryFieldHasARow: what a definition can say is in the model, and
// what is in the model a definition can say: each field is filled in by the key
// of some row, but for those named here.
func TestKeys_EveryFieldHasARow(t *testing.T) {
	t.Parallel()
	l := newLanguage()
	found := examples(t)
	check := func(part string, filled map[string]bool, model any, others ...string) {
		t.Helper()
		for _, field := range reflect.VisibleFields(reflect.TypeOf(model)) {
			if filled[field.Name] == slices.Contains(others, field.Name) {
				t.Errorf("%s of %T: no key of %s fills it in, or it should not be named here", field.Name, model, part)
			}
		}
	}
	job := func(j *parsedJob) any { return j.Job }
	jobs := fill(t, &l.job, found, job)
	maps.Copy(jobs, fill(t, &l.step, found, job))
	maps.Copy(jobs, fill(t, &l.delay, found, job))
	maps.Copy(jobs, fill(t, &l.artifacts, found, job))
	// The name is that of the map's key; flow and onFailure name other files and
	// jobs, which are loaded later.
	check("job", jobs, Job{}, "Name", "Flow", "OnFailure")
	check("definition", fill(t, &l.definition, found, func(d *draft) any { return *d.flow }), Flow{},
		"Kind", "Path", "Inputs", "Vars", "Jobs", "OpenInputs", "Hooks")
	check("input", fill(t, &l.input, found, func(in *declaration) any { return *in.Input }), Input{}, "Name", "Constant", "Required", "Emptiable")
	check("approval", fill(t, &l.approval, found, whole), Approval{})
	check("cache", fill(t, &l.cache, found, whole), Cache{})
	check("concurrency", fill(t, &l.concurrency, found, whole), Concurrency{})
	check("range", fill(t, &l.numbers, found, whole), Range{})
	check("rateLimit", fill(t, &l.rateLimit, found, whole), RateLimit{})
	check("retention", fill(t, &l.retention, found, whole), Retention{})
	check("retries", fill(t, &l.retries, found, whole), Retries{})
	check("schedule", fill(t, &l.schedule, found, whole), Schedule{})
	check("waitFor", fill(t, &l.waitFor, found, whole), WaitFor{})
}

func whole[T any](x *T) any { return *x }

// examples are values of keys, by part and key, of the good files.
func examples(t *testing.T) map[string][]*value {
	t.Helper()
	files, err := filepath.Glob("testdata/good/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	found := map[string][]*value{}
	for _, file := range files {
		_, v := parseFile(t, file)
		for _, o := range occurrences("definition", v) {
			found[o.String()] = append(found[o.String()], o.val)
		}
	}
	return found
}

// fill reads an example of each key by itself and returns the fields of the
// model that change.
func fill[T any](t *testing.T, p *part[T], found map[string][]*value, model func(*T) any) map[string]bool {
	t.Helper()
	filled := map[string]bool{}
	for _, k := range p.keys {
		for _, v := range found[p.name+"."+k.name] {
			lang := newLanguage()
			d := &draft{source: &source{out: &Diagnostics{}}, lang: lang, o: Options{}.withDefaults(), flow: &Flow{}, defaults: lang.installed(Options{})}
			to := p.start
			switch to := any(&to).(type) {
			case *draft:
				*to = *d
			case *declaration:
				to.Input = &Input{}
			}
			before := reflect.ValueOf(model(&to))
			k.kind.read(d, &to, &value{text: k.name}, v)
			if d.out.HasErrors() {
				t.Fatalf("%s.%s: %v", p.name, k.name, d.out)
			}
			after := reflect.ValueOf(model(&to))
			if to, isDraft := any(&to).(*draft); isDraft { // keys of a definition go to the draft that reads them
				after = reflect.ValueOf(*to.flow)
			}
			for i := range before.NumField() {
				if !reflect.DeepEqual(before.Field(i).Interface(), after.Field(i).Interface()) {
					filled[before.Type().Field(i).Name] = true
				}
			}
		}
		if len(found[p.name+"."+k.name]) == 0 {
			t.Errorf("no good file has %s", fmt.Sprint(p.name, ".", k.name))
		}
	}
	return filled
}
