"""Run the reference under instrumented copies of the functions it reaches, and write down what each expression was."""
