package run_test

import (
	"encoding/json"
	"fmt"
	"reflect"
	"testing"

	"github.com/orchis-run/orchis/pkg/run"
)

// fill sets the n-th field of a struct, and all those below it, to something
// that must be written, escaped where it is a text.
func fill(v reflect.Value, n int) {
	if v.Type() == reflect.TypeFor[json.RawMessage]() {
		v.SetBytes(fmt.Appendf(nil, `{"n":[%d,null]}`, n))
		return
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(fmt.Sprintf("w\"<&>\\\u2028 é\x01 %d", n))
	case reflect.Int, reflect.Int64:
		v.SetInt(int64(n) + 1)
	case reflect.Float64:
		v.SetFloat(float64(n) + 0.25)
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), n)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		for i := range 2 {
			fill(v.Index(i), n)
		}
	case reflect.Struct:
		for _, field := range v.Fields() {
			fill(field, n)
		}
	default:
		panic("a field of kind " + v.Kind().String())
	}
}

func TestRecordsAreEncodedAsEncodingJSONDoes(t *testing.T) {
	t.Parallel()
	check := func(got string, v any) {
		t.Helper()
		want, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		if got != string(want) {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
	task, change := run.Task{}, run.Change{}
	check(task.Encode(), run.StoredTask(task))
	check(string(run.EncodeChanges([]run.Change{change, change})), run.StoredChanges(change, change))
	for i := range reflect.TypeFor[run.Task]().NumField() {
		one := run.Task{State: run.TaskQueued}
		fill(reflect.ValueOf(&one).Elem().Field(i), i)
		check(one.Encode(), run.StoredTask(one))
		fill(reflect.ValueOf(&task).Elem().Field(i), i)
		check(task.Encode(), run.StoredTask(task))
	}
	for i := range reflect.TypeFor[run.Change]().NumField() {
		one := run.Change{At: 5}
		fill(reflect.ValueOf(&one).Elem().Field(i), i)
		check(string(run.EncodeChanges([]run.Change{one})), run.StoredChanges(one))
		fill(reflect.ValueOf(&change).Elem().Field(i), i)
	}
	check(string(run.EncodeChanges([]run.Change{change, {}, change})), run.StoredChanges(change, run.Change{}, change))
	counts := run.Run{}
	for i := range reflect.TypeFor[run.Counts]().NumField() {
		fill(reflect.ValueOf(&counts.Counts).Elem().Field(i), i)
		var back run.Counts // states that no task is in are left out
		if f := counts.ChangedFields(&run.Run{}); json.Unmarshal([]byte(f[1]), &back) != nil || back != counts.Counts {
			t.Errorf("%+v is written as %s", counts.Counts, f[1])
		}
	}
}

// Whatever of a record changes, the changed fields say so, and only they.
func TestChangedFieldsAreThoseThatDiffer(t *testing.T) {
	t.Parallel()
	for i := range reflect.TypeFor[run.Run]().NumField() {
		field := reflect.TypeFor[run.Run]().Field(i)
		if field.Name == "ID" || field.Name == "Partition" || field.Name == "Version" {
			continue
		}
		var before, after run.Run
		switch v := reflect.ValueOf(&after).Elem().Field(i); {
		case field.Type.Kind() == reflect.Map:
			after.Labels = map[string]string{"a": "b"}
		case field.Type == reflect.TypeFor[[]byte]():
			v.SetBytes([]byte(`{"a":1}`))
		case field.Name == "Signals":
			after.Signals = []run.Signal{{Name: "s", Data: json.RawMessage("1"), At: 1}}
		default:
			fill(v, i)
		}
		for _, pair := range [][2]*run.Run{{&before, &after}, {&after, &before}} {
			now, old := pair[0].Fields(), pair[1].Fields()
			var want []string
			for k := 0; k < len(now); k += 2 {
				if now[k+1] != old[k+1] {
					want = append(want, now[k], now[k+1])
				}
			}
			if got := pair[0].ChangedFields(pair[1]); !reflect.DeepEqual(got, want) || len(want) != 2 {
				t.Errorf("%s: got %q, want %q", field.Name, got, want)
			}
		}
	}
}
