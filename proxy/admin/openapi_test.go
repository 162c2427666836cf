package admin

import (
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"mcplb/internal/golden"
)

// operation is one request of the API. The recorder of api_test.go can serve the
// example.
type operation struct {
	method, path, summary string
	query                 map[string]string // parameters and their descriptions
	body, answer          any               // a value of the type; nil = none
	example, exampleBody  string
}

var operations = []operation{
	{"GET", "/api/v1/status", "State and counters of the balancer", nil, nil, Snapshot{}, "/api/v1/status", ""},
	{"GET", "/api/v1/access", "Whether this request may use the commands", nil, nil, AccessAnswer{}, "/api/v1/access", ""},
	{"PATCH", "/api/v1/backends/{backend}/servers/{server}", "Change a server's admin state, weight or maxconn", nil, ServerChange{}, Changed{}, "/api/v1/backends/nodes/servers/node1", `{"admin":"drain"}`},
	{"PUT", "/api/v1/backends/{backend}/servers/{server}", "Add a server, or change one that was added before; the body has the keys of [[server]] without the name. 201 = it is new, 409 = the server is in the file, or found", nil, ServerKeys{}, PutServer{}, "/api/v1/backends/nodes/servers/node9", `{"tcp":"192.0.2.9:9000"}`},
	{"DELETE", "/api/v1/backends/{backend}/servers/{server}", "Remove a server that was added by PUT; 409 = the server is in the file, or found", nil, nil, Changed{}, "/api/v1/backends/nodes/servers/node9", ""},
	{"GET", "/api/v1/backends/{backend}/sticky", "The sticky memory of a backend", map[string]string{"source": "an address: only its entries", "limit": "maximum number of entries, 1 to 10000; default 100"}, nil, StickyList{}, "/api/v1/backends/nodes/sticky", ""},
	{"GET", "/api/v1/connections", "Client connections", map[string]string{"backend": "only connections to its servers", "server": "only connections to this server of the backend", "client": "only connections of this client: its address, or a CIDR", "limit": "maximum number of entries, 1 to 10000; default 100"}, nil, ConnectionList{}, "/api/v1/connections", ""},
	{"DELETE", "/api/v1/connections", "Reset connections; requires at least one parameter", map[string]string{"backend": "connections to its servers", "server": "connections to this server of the backend", "client": "connections of this client: its address, or a CIDR"}, nil, Killed{}, "/api/v1/connections?backend=nodes", ""},
	{"DELETE", "/api/v1/connections/{id}", "Reset one connection", nil, nil, Killed{}, "/api/v1/connections/0-1f", ""},
	{"GET", "/api/v1/bans", "Bans in force", map[string]string{"limit": "maximum number of entries, 1 to 10000; default 100"}, nil, BanList{}, "/api/v1/bans", ""},
	{"POST", "/api/v1/bans", "Ban a source, or a range of addresses", nil, BanRequest{}, Ban{}, "/api/v1/bans", `{"source":"192.0.2.9","seconds":60}`},
	{"DELETE", "/api/v1/bans/{source}", "Lift a ban; source is an address, or a prefix as in the list of bans", nil, nil, Changed{}, "/api/v1/bans/192.0.2.7/32", ""},
	{"POST", "/api/v1/route", "Which route a request would take, and why; nothing is sent", nil, RouteRequest{}, RouteAnswer{}, "/api/v1/route", `{"method":"GET","url":"/admin"}`},
	{"POST", "/api/v1/counters/clear", "Reset peaks and, if requested, counters; /metrics does not change", nil, ClearRequest{}, Changed{}, "/api/v1/counters/clear", `{"all":true}`},
	{"POST", "/api/v1/reload", "Read the configuration again, as SIGHUP does; the body of a 409 says what is wrong with it", nil, struct{}{}, Reloaded{}, "/api/v1/reload", `{}`},
}

// guarded reports whether an operation requires authorization.
func (o *operation) guarded() bool {
	return o.path != "/api/v1/status" && o.path != "/api/v1/access"
}

// object is a JSON object.
type object = map[string]any

// document returns the OpenAPI description (version 3.1), generated from the
// operations and the Go types with their comments.
func document(t *testing.T) object {
	t.Helper()
	g := &generator{comments: comments(t), schemas: object{}}
	paths := object{}
	for i := range operations {
		o := &operations[i]
		item, _ := paths[o.path].(object)
		if item == nil {
			item = object{}
			paths[o.path] = item
		}
		item[strings.ToLower(o.method)] = g.operation(o)
	}
	return object{
		"openapi": "3.1.0",
		"info": object{"title": "mcplb", "version": "1", "description": "State and runtime commands of a running mcplb, on its admin address. " +
			"Names and meanings stay; members may be added. Reading the status needs no authentication; everything else needs the bearer token of admin.token_file or, " +
			"if none is configured, a connection from a loopback address and, to change anything, the header X-Mcplb-Command: 1. Requests from pages of other sites are refused, " +
			"as are those for a host name that is not in admin.hosts. Every failure, of whatever status, has a body of the schema Failure."},
		"paths": paths,
		"components": object{"schemas": g.schemas, "securitySchemes": object{
			"token":   object{"type": "http", "scheme": "bearer"},
			"command": object{"type": "apiKey", "in": "header", "name": CommandHeader, "description": "the value 1, from a loopback address, while there is no token"},
		}},
	}
}

type generator struct {
	comments map[string]string // by Type or Type.Field
	schemas  object
}

func (g *generator) operation(o *operation) object {
	parameters := []any{}
	for _, name := range []string{"backend", "server", "source", "id"} {
		if strings.Contains(o.path, "{"+name+"}") {
			parameters = append(parameters, object{"name": name, "in": "path", "required": true, "schema": object{"type": "string"}})
		}
	}
	for _, name := range slices.Sorted(maps.Keys(o.query)) {
		parameters = append(parameters, object{"name": name, "in": "query", "description": o.query[name], "schema": object{"type": "string"}})
	}
	made := object{"summary": o.summary, "parameters": parameters, "responses": object{
		"200": object{"description": "success", "content": content(g.schema(reflect.TypeOf(o.answer)))},
	}}
	if o.method == "PUT" {
		made["responses"].(object)["201"] = made["responses"].(object)["200"]
	}
	if o.body != nil {
		made["requestBody"] = object{"required": true, "content": content(g.schema(reflect.TypeOf(o.body)))}
	}
	made["responses"].(object)["default"] = object{"description": "failure", "content": content(g.schema(reflect.TypeFor[Failure]()))}
	switch {
	case o.guarded() && o.method != "GET":
		made["security"] = []any{object{"token": []any{}}, object{"command": []any{}}}
	case o.guarded():
		made["security"] = []any{object{"token": []any{}}, object{}}
	}
	return made
}

func content(schema object) object { return object{applicationJSON: object{"schema": schema}} }

// wordTypes are string types with a fixed set of values.
var wordTypes = map[reflect.Type][]string{
	reflect.TypeFor[FrontendState](): {string(FrontendOpen), string(FrontendPaused), string(FrontendDraining)},
	reflect.TypeFor[ServerState]():   {string(ServerUp), string(ServerDown), string(ServerUnchecked)},
	reflect.TypeFor[AdminState]():    {string(AdminReady), string(AdminDrain), string(AdminMaint)},
	reflect.TypeFor[EventKind]():     {string(EventDown), string(EventUp), string(EventReload), string(EventReloadFailed), string(EventUpgrade)},
	reflect.TypeFor[Level]():         {string(Healthy), string(Notice), string(Degraded), string(Critical)},
}

// schema describes how encoding/json encodes a type.
func (g *generator) schema(t reflect.Type) object {
	if words := wordTypes[t]; words != nil {
		return object{"type": "string", "enum": words}
	}
	switch t.Kind() {
	case reflect.Pointer:
		return g.schema(t.Elem())
	case reflect.Bool:
		return object{"type": "boolean"}
	case reflect.String:
		return object{"type": "string"}
	case reflect.Float64:
		return object{"type": "number"}
	case reflect.Int, reflect.Int64:
		return object{"type": "integer"}
	case reflect.Uint64:
		return object{"type": "integer", "minimum": 0}
	case reflect.Slice:
		return object{"type": "array", "items": g.schema(t.Elem())}
	case reflect.Interface:
		return object{} // anything
	case reflect.Map:
		return object{"type": "object", "additionalProperties": g.schema(t.Elem())}
	}
	if t == reflect.TypeFor[time.Time]() {
		return object{"type": "string", "format": "date-time"}
	}
	if t.Name() == "" {
		return object{"type": "object"}
	}
	if g.schemas[t.Name()] == nil {
		made := object{"type": "object"}
		g.schemas[t.Name()] = made
		properties, required := object{}, []string{}
		g.fields(t, properties, &required)
		slices.Sort(required)
		made["properties"], made["required"] = properties, required
		if comment := g.comments[t.Name()]; comment != "" {
			made["description"] = comment
		}
	}
	return object{"$ref": "#/components/schemas/" + t.Name()}
}

// fields describes a struct's fields, including those of embedded structs.
func (g *generator) fields(t reflect.Type, properties object, required *[]string) {
	for field := range t.Fields() {
		if field.Anonymous {
			g.fields(field.Type, properties, required)
			continue
		}
		name, options, tagged := strings.Cut(field.Tag.Get("json"), ",")
		if !field.IsExported() || name == "" && !tagged || name == "-" {
			continue
		}
		schema := g.schema(field.Type)
		if comment := g.comments[t.Name()+"."+field.Name]; comment != "" {
			schema["description"] = comment
		}
		properties[name] = schema
		if !strings.HasPrefix(options, "omit") {
			*required = append(*required, name)
		}
	}
}

// comments returns the comments of the package's types and their fields.
func comments(t *testing.T) map[string]string {
	t.Helper()
	found := map[string]string{}
	entries, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		if !strings.HasSuffix(entry.Name(), ".go") || strings.HasSuffix(entry.Name(), "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), entry.Name(), nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			declaration, ok := n.(*ast.GenDecl)
			if !ok || declaration.Tok != token.TYPE {
				return true
			}
			for _, spec := range declaration.Specs {
				collect(found, declaration, spec.(*ast.TypeSpec))
			}
			return false
		})
	}
	return found
}

func collect(found map[string]string, declaration *ast.GenDecl, spec *ast.TypeSpec) {
	found[spec.Name.Name] = flat(declaration.Doc.Text())
	structure, ok := spec.Type.(*ast.StructType)
	if !ok {
		return
	}
	for _, field := range structure.Fields.List {
		for _, name := range field.Names {
			found[spec.Name.Name+"."+name.Name] = flat(field.Doc.Text() + field.Comment.Text())
		}
	}
}

func flat(text string) string { return strings.Join(strings.Fields(text), " ") }

// The file openapi.json matches the code; go test -update rewrites it.
func TestOpenAPI(t *testing.T) {
	t.Parallel()
	want, err := json.MarshalIndent(document(t), "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	const path = "web/openapi.json"
	if golden.Updating() {
		if err := os.WriteFile(path, append(want, '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil || string(got) != string(want)+"\n" {
		t.Fatalf("%s is not up to date (go test -update rewrites it): %v", path, err)
	}
	if served := newDesk(edited(unedited)).ask("GET", "/api/v1/openapi.json", ""); served.StatusCode != 200 || body(t, served) != string(got) {
		t.Errorf("the served document differs, or has status %d", served.StatusCode)
	}
}

// The real responses of the API match the schema exactly.
func TestAnswersFitSchema(t *testing.T) {
	t.Parallel()
	text, err := json.Marshal(document(t))
	if err != nil {
		t.Fatal(err)
	}
	var schema object
	if err := json.Unmarshal(text, &schema); err != nil {
		t.Fatal(err)
	}
	for _, o := range operations {
		for _, refused := range []bool{false, true} {
			if refused && !o.guarded() {
				continue
			}
			head, status := []string{}, "200"
			if refused {
				head, status = []string{"from", "192.0.2.1:9"}, "default"
			}
			answer := newDesk(edited(unedited)).ask(o.method, o.example, o.exampleBody, head...)
			if (answer.StatusCode < 300) == refused {
				t.Errorf("%s %s: status %d", o.method, o.example, answer.StatusCode)
			}
			var value any
			if err := json.Unmarshal([]byte(body(t, answer)), &value); err != nil {
				t.Fatal(err)
			}
			described := at(schema, "paths", o.path, strings.ToLower(o.method), "responses", status, "content", applicationJSON, "schema")
			for _, wrong := range misfits(schema, described, value, "answer") {
				t.Errorf("%s %s: %s", o.method, o.example, wrong)
			}
		}
	}
}

func at(value any, path ...string) object {
	for _, name := range path {
		value = value.(object)[name]
	}
	return value.(object)
}

// misfits compares a value with a schema and returns the differences. It supports
// the part of JSON Schema that the document uses. A member that the schema does
// not name is also a difference.
func misfits(root, schema object, value any, where string) (wrong []string) {
	if ref, ok := schema["$ref"].(string); ok {
		schema = at(root, strings.Split(strings.TrimPrefix(ref, "#/"), "/")...)
	}
	fails := func(format string, args ...any) { wrong = append(wrong, where+": "+fmt.Sprintf(format, args...)) }
	switch schema["type"] {
	case "object":
		members, ok := value.(object)
		if !ok {
			fails("%v is no object", value)
			return wrong
		}
		properties, _ := schema["properties"].(object)
		rest, _ := schema["additionalProperties"].(object)
		for name, member := range members {
			inner, known := properties[name].(object)
			if !known {
				inner = rest
			}
			if inner == nil {
				fails("%s is not described", name)
				continue
			}
			wrong = append(wrong, misfits(root, inner, member, where+"."+name)...)
		}
		required, _ := schema["required"].([]any)
		for _, name := range required {
			if _, there := members[name.(string)]; !there {
				fails("%s is missing", name)
			}
		}
	case "array":
		items, ok := value.([]any)
		if !ok {
			fails("%v is no array", value)
		}
		for i, item := range items {
			wrong = append(wrong, misfits(root, schema["items"].(object), item, fmt.Sprintf("%s[%d]", where, i))...)
		}
	case "string":
		text, ok := value.(string)
		if words, limited := schema["enum"].([]any); !ok || limited && !slices.Contains(words, any(text)) {
			fails("%v is not one of %v", value, words)
		}
	case "boolean":
		if _, ok := value.(bool); !ok {
			fails("%v is no boolean", value)
		}
	case "number", "integer":
		n, ok := value.(float64)
		if !ok || schema["type"] == "integer" && n != float64(int64(n)) || schema["minimum"] != nil && n < 0 {
			fails("%v is no %s", value, schema["type"])
		}
	}
	return wrong
}
