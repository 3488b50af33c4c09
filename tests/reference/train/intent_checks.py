"""Everyday questions for the intent model; never trained on, written before its first training run ended."""

# None: nothing a bank has an answer to; what the model says of those is only shown.
CHECKS = [
    ("I ordered my card ten days ago and it is still not here.", "card_arrival"),
    ("The cash machine swallowed my card!", "card_swallowed"),
    ("Somebody stole my wallet with the card in it.", "lost_or_stolen_card"),
    ("My phone was stolen this morning.", "lost_or_stolen_phone"),
    ("I can't remember my passcode.", "passcode_forgotten"),
    ("How can I pick a new PIN?", "change_pin"),
    ("I was billed twice for one dinner.", "transaction_charged_twice"),
    ("Why did the shop refuse my card?", "declined_card_payment"),
    ("The ATM gave me less money than I asked for.", "wrong_amount_of_cash_received"),
    ("Do you take a fee when I get cash abroad?", "cash_withdrawal_charge"),
    ("I want to delete my account.", "terminate_account"),
    ("My surname changed after the wedding, can you update it?", "edit_personal_details"),
    ("How old do you have to be to join?", "age_limit"),
    ("Can I use Google Pay?", "apple_pay_or_google_pay"),
    ("I sent money to the wrong person, stop it please.", "cancel_transfer"),
    ("My refund from the shoe shop has not come.", "Refund_not_showing_up"),
    ("Will the weather be nice tomorrow?", None),
    ("The film was too long.", None),
]
