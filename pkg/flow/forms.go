package flow

import "fmt"

// forms is a set of the forms that a job may have.
type forms uint8

// The forms of jobs, and the sets that the table uses.
const (
	handlerJob  forms = 1 << iota // a handler does it
	flowJob                       // it starts a flow
	approvalJob                   // it waits for an approval
	signalJob                     // it waits for a signal
	delayJob                      // it is only a delay
	recipeStep                    // it is in the flows of a recipe

	anyJob  = handlerJob | flowJob | approvalJob | signalJob | delayJob
	anyStep = anyJob | recipeStep
	// workStep is a job or a step that waits for nothing: it has a handler or a
	// flow.
	workStep = handlerJob | flowJob | recipeStep
)

// formOf returns the form of a job. It returns 0 when the job contradicts itself,
// and reports that. clean means that all its keys were valid.
func (d *draft) formOf(j *parsedJob, clean bool) forms {
	refuse := func(at *value, message, hint string) forms {
		d.errorAt(at, "E105", message, hint)
		return 0
	}
	oldForm := j.Handler == "runWorkflow"
	does := j.Handler != "" || j.calls != nil
	switch {
	case j.calls != nil && j.Handler != "" && !oldForm:
		return refuse(j.name, fmt.Sprintf("job %q has both job and flow", j.Name), "keep one of the two")
	case oldForm && j.calls == nil:
		return refuse(j.name, fmt.Sprintf("job %q runs a workflow and does not name it", j.Name), "add `workflowPath:`")
	case j.byWay == "workflowPath" && !oldForm:
		return refuse(j.calls, "workflowPath requires `job: runWorkflow`", "write `flow:` instead")
	case j.Approval != nil && j.WaitFor != nil:
		return refuse(j.name, fmt.Sprintf("job %q has both approval and waitFor", j.Name), "split it into two jobs")
	case j.Approval != nil && does:
		return refuse(j.name, fmt.Sprintf("job %q has both approval and a handler or a flow", j.Name), "split it into two jobs")
	case j.WaitFor != nil && does:
		return refuse(j.name, fmt.Sprintf("job %q has both waitFor and a handler or a flow", j.Name), "split it into two jobs")
	case j.Approval != nil:
		return approvalJob
	case j.WaitFor != nil:
		return signalJob
	case j.calls != nil:
		return flowJob
	case j.Handler != "":
		return handlerJob
	case j.has("delay"):
		return delayJob
	case clean && j.body.kind == mapValue:
		return refuse(j.name, fmt.Sprintf("job %q does not say what to run", j.Name), "add `job:` with a handler, or `flow:`")
	}
	return 0
}

// checkKeys refuses the keys of a job that have no effect in it: in a job of its
// form, or without another key. form is 0 when it is not known.
func (d *draft) checkKeys(j *parsedJob, known *part[parsedJob], form forms) {
	for i, k := range j.body.keys {
		if _, there := known.index[k.text]; !there {
			continue // reported when it was read
		}
		row := &d.lang.jobs[d.lang.job.index[k.text]]
		if form != 0 && row.on&form == 0 && j.body.items[i].scalar != false {
			d.errorAt(k, "E105", fmt.Sprintf("%q has no effect in a job that %s", k.text, form.describe()), d.insteadOf(k.text, form))
		}
		if row.with != "" && !j.has(row.with) {
			d.errorAt(k, "E105", fmt.Sprintf("%q requires %s, which job %q does not have", k.text, row.with, j.Name), "")
		}
	}
}

// insteadOf returns a hint where to set a key that has no effect in a job of this
// form.
func (d *draft) insteadOf(key string, form forms) string {
	_, ofApproval := d.lang.approval.index[key]
	_, ofSignal := d.lang.waitFor.index[key]
	switch {
	case form == flowJob:
		return "set it in the jobs of that flow"
	case form == approvalJob && ofApproval:
		return "put it inside approval"
	case form == signalJob && ofSignal:
		return "put it inside waitFor"
	}
	return ""
}

// describe completes "a job that".
func (f forms) describe() string {
	switch f {
	case flowJob:
		return "starts a flow"
	case approvalJob:
		return "waits for an approval"
	case signalJob:
		return "waits for a signal"
	case delayJob:
		return "is only a delay"
	}
	return "has a handler"
}
