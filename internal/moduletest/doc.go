// Package moduletest is for tests alone: it calls the Dagger module in .dagger as its users do, with the dagger command of the
// embedded engine, from another repository.
package moduletest
