package flow

import (
	"strings"

	"github.com/orchis-run/orchis/internal/expr"
)

// transformed returns the known shape of the result of a transform, which is the
// value of its inputs.
func transformed(j *Job, jd *jobDraft) *Shape {
	if j.Inputs == nil {
		if keyOf(jd, "inputs") != jd.name {
			return nil // they were not valid
		}
		return &Shape{} // it is null
	}
	return shapeOfTemplate(j.Inputs)
}

// shapeOfFlow returns the known shape of the result of a flow: of its outputs, or of
// the results of its jobs.
func shapeOfFlow(f *Flow) *Shape {
	if f.Outputs != nil {
		return shapeOfTemplate(f.Outputs)
	}
	s := &Shape{Type: "object", Closed: true, Keys: map[string]*Shape{}}
	for i := range f.Jobs {
		s.Keys[f.Jobs[i].Name] = nil
	}
	return s
}

func shapeOfTemplate(t *expr.Template) *Shape { return shapeOfValue(t.Source()) }

// shapeOfValue returns the shape of a value as far as it is known before its
// expressions are evaluated.
func shapeOfValue(v any) *Shape {
	switch v := v.(type) {
	case map[string]any:
		s := &Shape{Type: "object", Closed: true, Keys: make(map[string]*Shape, len(v))}
		for key, item := range v {
			s.Keys[key] = shapeOfValue(item)
		}
		return s
	case []any:
		return &Shape{Type: "array"}
	case string:
		if strings.Contains(v, "${") {
			return nil
		}
		return &Shape{Type: "string"}
	case bool:
		return &Shape{Type: "boolean"}
	case int, float64:
		return &Shape{Type: "number"}
	}
	return nil
}

// flowResults adds the known shapes of the results of the flows that jobs start.
func (ld *loading) flowResults(d *draft, outputs map[string]*Shape) {
	for i := range d.flow.Jobs {
		j := &d.flow.Jobs[i]
		if sub := ld.bundle.Flows[j.Flow]; sub != nil && j.Flow != "" && !ld.isBad(sub.Path) {
			outputs[j.Name] = shapeOfFlow(sub)
		}
	}
}
