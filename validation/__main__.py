from validation.verdicts import command

command()
