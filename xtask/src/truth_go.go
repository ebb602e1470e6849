// Prints what go/types says of a repository, as eval_graph.py reads it: files, definitions, references, one JSON object a line.
//
// Usage: go run truth_go.go DIR
//
// Packages of the repository and of the standard library are read from source; what else is imported is an empty package, and
// what follows from it is not known and not said.
package main

import (
	"encoding/json"
	"go/ast"
	"go/build"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"sort"
	"strings"
)

type place [2]any

var (
	top       string
	files     = token.NewFileSet()
	modules   = map[string]string{} // Directory to the path of its module.
	packages  = map[string]*types.Package{}
	standard  = importer.ForCompiler(files, "source", nil)
	out       = json.NewEncoder(os.Stdout)
	moduleRow = regexp.MustCompile(`(?m)^module\s+"?([^\s"]+)`)
)

func main() {
	top, _ = filepath.Abs(os.Args[1])
	var directories []string
	filepath.Walk(top, func(at string, info os.FileInfo, err error) error {
		if err != nil || !info.IsDir() {
			return nil
		}
		if name := info.Name(); at != top && (strings.HasPrefix(name, ".") || strings.HasPrefix(name, "_") || name == "vendor" || name == "testdata") {
			return filepath.SkipDir
		}
		if text, err := os.ReadFile(filepath.Join(at, "go.mod")); err == nil {
			if found := moduleRow.FindSubmatch(text); found != nil {
				modules[at] = string(found[1])
			}
		}
		directories = append(directories, at)
		return nil
	})
	sort.Strings(directories)
	for _, directory := range directories {
		look(directory)
	}
}

// look says what a directory's package holds, the files that test it included.
func look(directory string) {
	found, err := build.Default.ImportDir(directory, 0)
	if found == nil || err != nil && len(found.GoFiles) == 0 && len(found.TestGoFiles) == 0 && len(found.XTestGoFiles) == 0 {
		return
	}
	inner := append(append(append([]string{}, found.GoFiles...), found.CgoFiles...), found.TestGoFiles...)
	say(directory, inner, importPath(directory))
	say(directory, found.XTestGoFiles, importPath(directory)+"_test")
}

func say(directory string, names []string, name string) {
	trees := parse(directory, names)
	info := types.Info{Defs: map[*ast.Ident]types.Object{}, Uses: map[*ast.Ident]types.Object{}}
	check(name, trees, &info)
	for _, tree := range trees {
		out.Encode(map[string]any{"file": at(tree.Pos())[0]})
		called := map[*ast.Ident]bool{}
		ast.Inspect(tree, func(node ast.Node) bool {
			if call, is := node.(*ast.CallExpr); is {
				called[callee(call.Fun)] = true
			}
			return true
		})
		ast.Inspect(tree, func(node ast.Node) bool {
			ident, is := node.(*ast.Ident)
			if !is || ident.Name == "_" {
				return true
			}
			if object := info.Defs[ident]; object != nil && isGlobal(object) {
				out.Encode(map[string]any{"definition": ident.Name, "kind": kind(object), "at": at(ident.Pos())})
			}
			if object := info.Uses[ident]; object != nil {
				targets := []place{}
				if target := at(object.Pos()); target[0] != nil {
					targets = append(targets, target)
				}
				out.Encode(map[string]any{
					"reference": ident.Name, "call": called[ident], "kind": kind(object), "at": at(ident.Pos()), "targets": targets,
				})
			}
			return true
		})
	}
}

// callee returns the name that an expression calls.
func callee(function ast.Expr) *ast.Ident {
	switch it := function.(type) {
	case *ast.Ident:
		return it
	case *ast.SelectorExpr:
		return it.Sel
	case *ast.ParenExpr:
		return callee(it.X)
	case *ast.IndexExpr:
		return callee(it.X)
	case *ast.IndexListExpr:
		return callee(it.X)
	}
	return nil
}

func isGlobal(object types.Object) bool {
	function, isFunction := object.(*types.Func)
	isMethod := isFunction && function.Type().(*types.Signature).Recv() != nil
	return isMethod || object.Pkg() != nil && object.Parent() == object.Pkg().Scope()
}

func kind(object types.Object) any {
	switch object.(type) {
	case *types.Func:
		return "function"
	case *types.TypeName:
		return "type"
	case *types.Const, *types.Var:
		return "value"
	}
	return nil
}

// at returns the file and line of a position; no file when it is outside the repository.
func at(position token.Pos) place {
	where := files.Position(position)
	relative, err := filepath.Rel(top, where.Filename)
	if !position.IsValid() || err != nil || strings.HasPrefix(relative, "..") {
		return place{nil, 0}
	}
	return place{filepath.ToSlash(relative), where.Line}
}

func parse(directory string, names []string) (trees []*ast.File) {
	for _, name := range names {
		tree, _ := parser.ParseFile(files, filepath.Join(directory, name), nil, parser.SkipObjectResolution)
		if tree != nil {
			trees = append(trees, tree)
		}
	}
	return trees
}

func check(name string, trees []*ast.File, info *types.Info) *types.Package {
	config := types.Config{Importer: importing{}, Error: func(error) {}, FakeImportC: true}
	checked, _ := config.Check(name, files, trees, info)
	return checked
}

type importing struct{}

// Import reads a package of the repository or of the standard library; any other is empty.
func (importing) Import(name string) (*types.Package, error) {
	if known, is := packages[name]; is {
		return known, nil
	}
	empty := types.NewPackage(name, path.Base(name))
	empty.MarkComplete()
	packages[name] = empty // A circle ends here.
	if directory := directoryOf(name); directory != "" {
		if found, _ := build.Default.ImportDir(directory, 0); found != nil {
			if checked := check(name, parse(directory, append(found.GoFiles, found.CgoFiles...)), nil); checked != nil {
				packages[name] = checked
			}
		}
	} else if !strings.Contains(strings.Split(name, "/")[0], ".") {
		if found, err := standard.Import(name); err == nil {
			packages[name] = found
		}
	}
	return packages[name], nil
}

func directoryOf(name string) string {
	best := ""
	for directory, module := range modules {
		if name == module || strings.HasPrefix(name, module+"/") {
			candidate := filepath.Join(directory, strings.TrimPrefix(name, module))
			if _, err := os.Stat(candidate); err == nil && len(candidate) > len(best) {
				best = candidate
			}
		}
	}
	return best
}

func importPath(directory string) string {
	for outer := directory; strings.HasPrefix(outer, top); outer = filepath.Dir(outer) {
		if module, is := modules[outer]; is {
			return path.Join(module, filepath.ToSlash(strings.TrimPrefix(directory, outer)))
		}
	}
	return filepath.ToSlash(strings.TrimPrefix(directory, top))
}
