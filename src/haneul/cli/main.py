"""stub"""
def main() -> None:
    print("cli")
