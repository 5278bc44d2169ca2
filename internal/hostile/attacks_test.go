package hostile

import (
	"fmt"
	"strconv"
	"strings"
)

// attacks lists them all.
func attacks() []attack {
	var all []attack
	// What many small values cost in all, never at once.
	costly := map[string]uint64{`041 "${join(map(range(0, 100000), x, inputs.text), '')}"`: 256}
	for family, pairs := range map[string][][2]string{
		"definition": yamlAttacks(), "expression": expressionAttacks(), "json": jsonAttacks(), "submission": submissionAttacks(),
		"event": eventAttacks(), "ticket": ticketAttacks(), "task": taskAttacks(), "run": runAttacks(),
	} {
		for _, p := range pairs {
			all = append(all, attack{family: family, name: p[0], text: is(p[1]), most: costly[p[0]]})
		}
	}
	for i, name := range names() {
		for place, form := range map[string]string{"job": "jobs: {%s: {job: debug}}", "input": "inputs: {%s: 1}\njobs: {a: {job: debug}}", "handler": "jobs: {a: {job: %s}}", "queue": "jobs: {a: {job: debug, queue: %s}}"} {
			all = append(all, attack{family: "definition", name: fmt.Sprintf("name %02d as %s", i, place), text: is(fmt.Sprintf(form, strconv.QuoteToASCII(name)))})
		}
	}
	sortByName(all)
	return append(all, large()...)
}

// names are names that must not become keys, paths or code by chance.
func names() []string {
	return []string{
		"", " ", "a b", "a/b", "a[0]", "a.b", "../a", "/etc/passwd", "a\x00b", "a\nb", "a\tb", "\u202eabc", "\ufeffa", "ünï", "emoji😀", "-a", "a-", "_",
		"__proto__", "constructor", "true", "null", "~", "1", "1e3", "0x10", "${x}", "{{x}}", "$(id)", "`id`", "a;b", "a|b", "a'b", `a\b`, "%2e%2e", "*", "?",
		"inputs", "vars", "iterate", "self", "run", strings.Repeat("a", 63), strings.Repeat("a", 64), strings.Repeat("a", 65), strings.Repeat("a", 1000),
	}
}

func yamlAttacks() [][2]string {
	one := "jobs: {a: {job: debug}}\n"
	return [][2]string{
		{"nothing", ""},
		{"blanks", "   \n\n"},
		{"a comment", "# x"},
		{"null", "null"},
		{"a number", "5"},
		{"a text", "hello"},
		{"a list", "- a\n- b"},
		{"a second document", one + "---\n" + one},
		{"an end mark", one + "...\n" + one},
		{"a directive", "%YAML 9.9\n---\n" + one},
		{"a tag", "jobs: !!python/object:os.system {a: {job: debug}}"},
		{"a local tag", "jobs: !x {a: {job: debug}}"},
		{"binary", "jobs: {a: {job: !!binary aGk=}}"},
		{"a tab", "jobs:\n\ta: {job: debug}"},
		{"a NUL", "jobs: {a: {job: \"d\x00\"}}"},
		{"a bell", "jobs: {a: {job: d\a}}"},
		{"invalid UTF-8", "jobs: {a: {job: \"\xff\xfe\"}}"},
		{"UTF-16", "\xff\xfej\x00o\x00b\x00s\x00"},
		{"a byte order mark", "\ufeff" + one},
		{"CRLF", strings.ReplaceAll(one, "\n", "\r\n")},
		{"only CR", "jobs:\r  a: {job: debug}\r"},
		{"an anchor to itself", "jobs: &a {a: *a}"},
		{"a merge of itself", "jobs: &a {<<: *a, b: {job: debug}}"},
		{"an unknown alias", "jobs: {a: *nobody}"},
		{"a merge of a text", "jobs: {<<: x, a: {job: debug}}"},
		{"a key twice", "jobs: {a: {job: debug}, a: {job: debug}}"},
		{"jobs twice", one + one},
		{"a complex key", "jobs: {? [a, b] : {job: debug}}"},
		{"a number as key", "jobs: {1: {job: debug}}"},
		{"a null key", "jobs: {~: {job: debug}}"},
		{"a date as key", "jobs: {2026-01-01: {job: debug}}"},
		{"jobs as a list", "jobs: [a, b]"},
		{"jobs as text", "jobs: all"},
		{"no jobs", "name: x"},
		{"empty jobs", "jobs: {}"},
		{"null jobs", "jobs:"},
		{"a job as text", "jobs: {a: debug}"},
		{"a null job", "jobs: {a: }"},
		{"a job as list", "jobs: {a: [debug]}"},
		{"an unknown key", "jobs: {a: {jbo: debug}}"},
		{"an unknown root key", "stages: []\n" + one},
		{"handler and flow", "jobs: {a: {job: debug, flow: b}}"},
		{"a cycle of one", "jobs: {a: {job: debug, dependsOn: [a]}}"},
		{"a cycle of two", "jobs: {a: {job: debug, dependsOn: [b]}, b: {job: debug, dependsOn: [a]}}"},
		{"an unknown dependency", "jobs: {a: {job: debug, dependsOn: [b]}}"},
		{"a dependency twice", "jobs: {b: {job: debug}, a: {job: debug, dependsOn: [b, b]}}"},
		{"a dependency as number", "jobs: {a: {job: debug, dependsOn: [1]}}"},
		{"dependencies as a map of lists", "jobs: {b: {job: debug}, a: {job: debug, dependsOn: {b: [x]}}}"},
		{"a null dependency", "jobs: {a: {job: debug, dependsOn: [null]}}"},
		{"negative retries", "jobs: {a: {job: debug, retries: -1}}"},
		{"endless retries", "jobs: {a: {job: debug, retries: 99999999999999999999}}"},
		{"NaN retries", "jobs: {a: {job: debug, retries: .nan}}"},
		{"infinite retries", "jobs: {a: {job: debug, retries: .inf}}"},
		{"half a retry", "jobs: {a: {job: debug, retries: 1.5}}"},
		{"a negative timeout", "jobs: {a: {job: debug, timeout: -5s}}"},
		{"a timeout of NaN days", "jobs: {a: {job: debug, timeout: NaNd}}"},
		{"a timeout of 1e300 days", "jobs: {a: {job: debug, timeout: 1e300d}}"},
		{"a timeout as list", "jobs: {a: {job: debug, timeout: [1]}}"},
		{"a huge timeout", "jobs: {a: {job: debug, timeout: 99999999999h}}"},
		{"priority 99", "jobs: {a: {job: debug, priority: 99}}"},
		{"parallelism 0", "parallelism: 0\n" + one},
		{"parallelism -1", "parallelism: -1\n" + one},
		{"parallelism 1e9", "parallelism: 1000000000\n" + one},
		{"an endless range", "jobs: {a: {job: debug, iterate: {from: 1, to: 9999999999}}}"},
		{"a range with step 0", "jobs: {a: {job: debug, iterate: {from: 1, to: 2, step: 0}}}"},
		{"a range backwards", "jobs: {a: {job: debug, iterate: {from: 5, to: 1}}}"},
		{"iterate over a number", "jobs: {a: {job: debug, iterate: 5}}"},
		{"a condition that is a map", "jobs: {a: {job: debug, if: {x: 1}}}"},
		{"a condition that is code", "jobs: {a: {job: debug, if: \"__import__('os')\"}}"},
		{"an unclosed expression", "jobs: {a: {job: debug, inputs: {x: \"${1 +\"}}}"},
		{"an expression that reads the future", "jobs: {a: {job: debug, inputs: {x: \"${b.x}\"}}, b: {job: debug}}"},
		{"an expression in a name", "jobs: {\"${inputs.x}\": {job: debug}}"},
		{"an input of an unknown type", "inputs: {x: {type: pickle}}\n" + one},
		{"an input with a bad pattern", "inputs: {x: {pattern: \"(((\"}}\n" + one},
		{"an input with a slow pattern", "inputs: {x: {pattern: \"(a+)+$\"}}\n" + one},
		{"an input whose default does not fit", "inputs: {x: {type: number, default: [1]}}\n" + one},
		{"a command in a shell line", "inputs: {x: a}\njobs: {a: {job: exec, inputs: {command: \"echo ${inputs.x}\"}}}"},
		{"a flow outside", "jobs: {a: {flow: ../../etc/passwd}}"},
		{"an absolute flow", "jobs: {a: {flow: /etc/passwd}}"},
		{"a flow from the network", "jobs: {a: {flow: \"http://evil/x.yaml\"}}"},
		{"a flow of /proc", "jobs: {a: {flow: /proc/self/environ}}"},
		{"a flow with NUL", "jobs: {a: {flow: \"a\\0.yaml\"}}"},
		{"the old way out", "jobs: {a: {job: runWorkflow, workflowPath: ../../../etc/passwd}}"},
		{"HTML in a description", "description: \"<script>alert(1)</script>\"\n" + one},
		{"an escape sequence in a description", "description: \"\\e[2J\\e]0;x\\a\"\n" + one},
		{"a name in a control language", "name: \"\\u202e\\u2066x\"\n" + one},
		{"unclosed brackets", "jobs: {a: {job: debug"},
		{"unclosed quotes", "jobs: {a: {job: \"debug}}"},
		{"wrong indentation", "jobs:\n  a:\n    job: debug\n   b:\n    job: debug"},
	}
}

func expressionAttacks() [][2]string {
	list := []string{
		"${", "${}", "${ }", "${${1}}", "${1", "}", "$", "$$", "$${1}", "${1}}", "${'}", "${\"}\"}", "${a.b.c.d}", "${inputs}", "${inputs.none}", "${inputs.none.more}", "${inputs['list'][99]}", "${inputs.list[-1]}", "${inputs.list[1e9]}", "${inputs.list['x']}",
		"${1/0}", "${1%0}", "${0/0}", "${1e308*10}", "${-9223372036854775808 % -1}", "${9223372036854775807 + 1}", "${99999999999999999999}", "${0x7fffffffffffffff}", "${1e999}", "${'a' * 3}", "${'a' - 1}", "${[] + {}}", "${!1}", "${-'a'}", "${1 < 'a'}", "${null < 1}", "${true + true}",
		"${range(0, 1000000000)}", "${range(0, 10, 0)}", "${map(range(0, 1000000), x, x)}", "${map(range(0, 2000), x, map(range(0, 2000), y, y))}", "${join(map(range(0, 100000), x, inputs.text), '')}", "${inputs.bad}", "${len(inputs)}", "${len(5)}", "${upper(5)}", "${split('a', '')}", "${replace(inputs.text, '', inputs.text)}",
		"${matches('aaaaaaaaaaaaaaaaaaaaaaaaaaaaa!', '(a+)+$')}", "${matches('a', '(')}", "${json('{')}", "${json('[[[[[[[[')}", "${exec('id')}", "${env.PATH}", "${env}", "${process.exit(1)}", "${this}", "${constructor.constructor('return 1')()}", "${inputs.__proto__}", "${inputs.constructor}", "${() => 1}", "${x => x}", "${a = 1}", "${a; b}", "${import('os')}", "${`id`}", "${#list}", "${secrets.X}", "${now() - now()}", "${uuid()}", "${1 ? 2 : }", "${? :}", "${1 2}", "${,}", "${(}", "${)}", "${[}", "${{}", "${'\\u0000'}", "${'\\ud800'}", "${\"\xff\"}", "${'a\nb'}",
	}
	out := make([][2]string, len(list))
	for i, s := range list {
		out[i] = [2]string{fmt.Sprintf("%03d %q", i, s), s}
	}
	return out
}
